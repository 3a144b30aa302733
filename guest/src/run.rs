//! Programs whose `main` is async: [`main!`](crate::main), [`spawn`] and [`yield_now`].

use std::fmt::Display;

/// The return type of the async function given to [`main!`](crate::main).
pub trait Outcome {
    /// Prints the error, if there is one, on standard error; returns whether there was none. If there was one, the
    /// program's exit status is 1.
    fn report(self) -> bool;
}

impl Outcome for () {
    fn report(self) -> bool {
        true
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn report(self) -> bool {
        self.map_err(|error| eprintln!("error: {error}")).is_ok()
    }
}

/// Makes an async function the entry point of the program.
///
/// The component model lets a program wait for the network only if the program was entered by an async call. So the
/// standard library's `main` is not used: the component exports `run` of `wasi:cli/run@0.3.0`, which calls the
/// function. Arguments, environment, standard streams and everything else of `std` work as usual. The function takes no
/// arguments and returns an [`Outcome`]: `()`, or a result whose error can be displayed; an error is printed and makes
/// the exit status 1. The program ends when the function has returned and every task given to [`spawn`](crate::spawn)
/// is done; [`std::process::exit`] ends it at once.
///
/// ```no_run
/// xila_network::main!(run);
///
/// async fn run() -> xila_network::Result<()> {
///     let mut stream = xila_network::TcpStream::connect(([127, 0, 0, 1], 7)).await?;
///     stream.write_all(b"hello").await
/// }
/// ```
#[macro_export]
macro_rules! main {
    ($run:path) => {
        #[allow(unsafe_code, unused_qualifications)]
        const _: () = {
            struct App;

            impl $crate::bindings::command::exports::wasi::cli::run::Guest for App {
                async fn run() -> ::core::result::Result<(), ()> {
                    if $crate::Outcome::report($run().await) { Ok(()) } else { Err(()) }
                }
            }

    $crate::bindings::command::export_command!(App with_types_in $crate::bindings::command);
        };

        fn main() {
            ::std::eprintln!("error: this program needs a host that calls `wasi:cli/run@0.3.0`");
            ::std::process::exit(1);
        }
    };
}

/// Runs a future concurrently with the other tasks of this program.
///
/// All tasks take turns on one thread. The program does not end before the future is done; there is no handle to wait
/// for the future or to end it.
///
/// It can be called within [`main!`](crate::main), and within exports that the same version of wit-bindgen has
/// generated.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    wit_bindgen::spawn_local(future);
}

/// Lets the other tasks of this program, and the host, run.
pub async fn yield_now() {
    wit_bindgen::yield_async().await;
}

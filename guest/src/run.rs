//! Programs whose `main` is async.

use std::fmt::Display;

/// What the async function given to [`main!`](crate::main) may return.
pub trait Outcome {
    /// Says on standard error what went wrong, if anything did; returns whether all went well. If not, the program's
    /// exit status is 1.
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

/// Makes an async function the program.
///
/// A program that waits for the network has to be entered by an async call, or else the component model does not
/// let it wait. So `main` is not the standard library's: the component exports `run` of `wasi:cli/run@0.3.0`,
/// which calls the function. Arguments, environment, standard streams and everything else of `std` work as usual. The
/// function takes nothing and returns an [`Outcome`]: nothing at all, or a result whose error can be displayed, which
/// is printed and makes the exit status 1. The program ends when the function has returned and every task given to
/// [`spawn`](crate::spawn) is done; [`std::process::exit`] ends it at once.
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

/// Runs a future at the same time as the others of this program.
///
/// They take turns on one thread. The program does not end before the future is done; there is no handle to wait for it
/// or to end it.
///
/// Works below [`main!`](crate::main) and below exports that the same version of wit-bindgen has made.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    wit_bindgen::spawn_local(future);
}

/// Lets the other tasks of this program, and the host, have a turn.
pub async fn yield_now() {
    wit_bindgen::yield_async().await;
}

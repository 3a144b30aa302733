//! `wasi:http` of a component: requests that it sends to a native server, and requests of native clients that it
//! answers.

use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::apps::{Result, Running, after, end};
use crate::links::namespace::Namespace;
use crate::taps::{Place, Programs, Runner};
use crate::veth::{FAR, NEAR, Veth};

const PORT: u16 = 8080;
const TIME: Duration = Duration::from_secs(1);
/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);
/// The length of the bodies of the server's responses, in bytes.
const BODY: usize = 100;

/// How many figures [`Host::measure`] returns.
pub const FIGURES: usize = 4;

/// What runs the component, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// `xila-net`, through its gateway, and behind a published port.
    Gateway,
    /// `xila-net`, over a TAP device.
    Tap,
    /// wasmtime-wasi-http on the kernel's sockets, over a veth pair.
    WasmtimeWasi,
}

impl Host {
    /// Measures everything once, in requests per second: those that a component sends, one after another and eight at a
    /// time, and those that instances of a component answer, of one client and of eight, whose connections last.
    ///
    /// # Errors
    /// If a program fails, or does not answer as it should.
    pub fn measure(self, programs: &Programs) -> Result<[f64; FIGURES]> {
        // The peers have two threads: the component's, and one for the rest.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (far, near) = match self {
            Self::Tap => (Place::new(Runner::Ours)?.far, None),
            Self::Gateway | Self::WasmtimeWasi => {
                let Veth { far, near } = Veth::new("")?;
                (far, Some(near))
            }
        };
        let near = near.as_ref().unwrap_or(&far);
        let [one, eight] = [1, 8];
        Ok([
            self.sends(programs, &runtime, (&far, near), one)?,
            self.sends(programs, &runtime, (&far, near), eight)?,
            self.answers(programs, &runtime, (&far, near), one)?,
            self.answers(programs, &runtime, (&far, near), eight)?,
        ])
    }

    fn sends(
        self,
        programs: &Programs,
        runtime: &Runtime,
        (far, near): (&Namespace, &Namespace),
        at_once: usize,
    ) -> Result<f64> {
        let listener = far.run(|| std::net::TcpListener::bind((FAR, PORT)))?;
        listener.set_nonblocking(true)?;
        let server = runtime.spawn(async move { serve(TcpListener::from_std(listener)?).await });
        let arguments = format!("http://{FAR}:{PORT}/ {} {at_once}", TIME.as_secs_f64());
        let app = format!("'{}' {arguments}", programs.beside("http_requests").display());
        let mut command = self.command(programs);
        match self {
            Self::Gateway => command.args(["run", "--fail-fast", "-i", &format!("eth0=gateway,allow-host={FAR}")]),
            Self::Tap => command.args(["run", "--fail-fast", "-i", &tap()]),
            Self::WasmtimeWasi => &mut command,
        };
        command.args(["--threads", "1", "--app", &app]);
        let printed = end(near.start(command)?);
        server.abort();
        // Its port is free again when it has ended.
        match runtime.block_on(server) {
            Ok(failed) => failed?,
            Err(aborted) => debug_assert!(aborted.is_cancelled()),
        }
        after(&printed?, " s: ")
    }

    fn answers(
        self,
        programs: &Programs,
        runtime: &Runtime,
        (far, near): (&Namespace, &Namespace),
        clients: usize,
    ) -> Result<f64> {
        let answer = programs.beside("http_answer");
        let mut command = self.command(programs);
        let address = format!("{NEAR}:{PORT}");
        match self {
            Self::Gateway => {
                let published = format!("{address}:{PORT}");
                command.arg("serve").arg(&answer).args(["--addr", &format!("0.0.0.0:{PORT}"), "-i", "eth0=gateway"]);
                command.args(["--publish", &published])
            }
            Self::Tap => command.arg("serve").arg(&answer).args(["--addr", &address, "-i", &tap()]),
            Self::WasmtimeWasi => command.args(["--serve", &address, "--app", &format!("'{}'", answer.display())]),
        };
        command.args(["--threads", "1"]);
        let server = Running(near.start(command)?);
        let address: SocketAddr = address.parse()?;
        far.run(|| until_answered(address))?;
        let connect = || {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let connections = (0..clients).map(|_| far.run(connect)).collect::<io::Result<Vec<_>>>()?;
        let rate = runtime.block_on(async {
            let began = Instant::now();
            let mut tasks = JoinSet::new();
            for connection in connections {
                tasks.spawn(async move { ask(TcpStream::from_std(connection)?, began).await });
            }
            let mut answered = 0;
            while let Some(ended) = tasks.join_next().await {
                answered += ended.map_err(io::Error::other)??;
            }
            io::Result::Ok(f64::from(answered) / began.elapsed().as_secs_f64())
        });
        drop(server);
        Ok(rate?)
    }

    fn command(self, programs: &Programs) -> Command {
        Command::new(if self == Self::WasmtimeWasi { &programs.peer } else { &programs.ours })
    }
}

fn tap() -> String {
    format!("eth0=tap,device=tap0,addr={NEAR}/24")
}

/// Waits until a server answers, which may not listen yet, although the published port before it does.
fn until_answered(address: SocketAddr) -> io::Result<()> {
    let began = Instant::now();
    let attempt = || {
        let mut stream = std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.write_all(request().as_bytes())?;
        stream.read_exact(&mut [0; GREETING.len()])
    };
    loop {
        match attempt() {
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
            Ok(()) => return Ok(()),
        }
    }
}

fn request() -> String {
    format!("GET / HTTP/1.1\r\nhost: {NEAR}\r\n\r\n")
}

/// How a response begins.
const GREETING: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// Sends requests on a connection, one after another, for [`TIME`]; returns how many were answered.
async fn ask(mut stream: TcpStream, began: Instant) -> io::Result<u32> {
    let request = request();
    let mut buffer = vec![0; 4096];
    let mut answered = 0;
    while began.elapsed() < TIME {
        stream.write_all(request.as_bytes()).await?;
        let mut length = 0;
        // The component's responses have no length: they are chunked, and end with an empty chunk.
        while !buffer[..length].ends_with(b"\r\n0\r\n\r\n") {
            match stream.read(&mut buffer[length..]).await? {
                0 => return Err(io::Error::other(format!("half a response: {:?}", &buffer[..length]))),
                count => length += count,
            }
        }
        if !buffer.starts_with(GREETING) {
            return Err(io::Error::other("the server does not answer as it should"));
        }
        answered += 1;
    }
    Ok(answered)
}

/// Answers every request, on as many connections as there are.
async fn serve(listener: TcpListener) -> io::Result<()> {
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n{}", "x".repeat(BODY));
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let response = response.clone();
        tokio::spawn(async move {
            let (mut buffer, mut length) = (vec![0; 4096], 0);
            loop {
                // Clients that are done close the connection, in whatever way.
                match stream.read(&mut buffer[length..]).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => length += count,
                }
                if buffer[..length].ends_with(b"\r\n\r\n") {
                    length = 0;
                    if stream.write_all(response.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

//! Returns all bytes to TCP peers: `echo-server [ADDRESS:PORT]`, by default on port 7 of every IPv4 address.

mod support;

use std::net::SocketAddr;

use xila_network::{Result, TcpListener, TcpStream};

use support::Arguments;

xila_network::main!(run);

async fn run() -> Result<()> {
    let mut arguments = Arguments::parse("echo-server [ADDRESS:PORT]", &[]);
    let address = arguments.next_if_any("ADDRESS:PORT").unwrap_or(SocketAddr::from(([0, 0, 0, 0], 7)));
    arguments.finish();

    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr());
    loop {
        let (stream, peer) = listener.accept().await?;
        xila_network::spawn(async move {
            match echo(stream).await {
                Ok(length) => println!("{peer}: {length} bytes"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}

async fn echo(mut stream: TcpStream) -> Result<u64> {
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut total = 0;
    loop {
        let result;
        (result, buffer) = stream.read_buf(buffer).await;
        match result? {
            0 => break,
            length => total += length as u64,
        }
        let result;
        (result, buffer) = stream.write_buf(buffer).await;
        result?;
    }
    stream.acknowledged().await?;
    Ok(total)
}

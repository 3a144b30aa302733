//! An end with the host crate's TCP, on one thread, as in an app's host.

use core::net::IpAddr;
use core::time::Duration;
use std::io;
use std::net::Shutdown;
use std::time::Instant;

use tokio::time::timeout;
use xila_network_host::device::tap::Tap;
use xila_network_host::platform::tokio::platform;
use xila_network_host::socket::{
    CongestionAlgorithm, ConnectOptions, ListenOptions, TcpListener, TcpOptions, TcpStream,
};
use xila_network_host::{InterfaceConfig, Manager, WriteError};

use super::{CHUNK, Congestion, LISTENING, Role, Settings, print_received, until_reset};
use crate::apps::Result;
use crate::links::world::OURS;
use crate::pair;

pub(super) fn run(address: IpAddr, settings: Settings, role: Role) -> Result<()> {
    pair::runtime(1)?.block_on(async {
        let manager = Manager::without_loopback(platform());
        let addresses = vec![format!("{address}/24").parse()?];
        let config = InterfaceConfig { addresses, ..InterfaceConfig::default() };
        manager.mount_interface("tap0", Tap::open(OURS, None)?, config)?;
        let network = manager.network();
        let congestion = match settings.congestion {
            Congestion::Cubic => CongestionAlgorithm::Cubic,
            Congestion::Bbr => CongestionAlgorithm::Bbr,
        };
        let mut tcp = TcpOptions { congestion: Some(congestion), ..TcpOptions::default() };
        if let Some(bytes) = settings.buffer {
            tcp.receive_buffer = bytes;
            tcp.send_buffer = bytes;
        }
        let listen = |port| {
            let options = ListenOptions { tcp: tcp.clone(), ..ListenOptions::default() };
            TcpListener::bind(&network, (address, port).into(), options).inspect(|_| println!("{LISTENING}"))
        };
        match role {
            Role::Sink { port, time } => sink(&listen(port)?, time).await,
            Role::Source { to } => {
                let options = ConnectOptions { tcp: tcp.clone(), ..ConnectOptions::default() };
                let stream = TcpStream::connect_with(&network, to, options).await?;
                Ok(until_reset(send(&stream, u64::MAX).await.map_err(io::Error::from))?)
            }
            Role::Serve { port } => {
                let listener = listen(port)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(async move {
                        if let Err(error) = serve(&stream).await {
                            eprintln!("ours, serving: {error}");
                        }
                    });
                }
            }
            Role::Fetch { .. } => Err("only the kernel fetches".into()),
        }
    })
}

async fn sink(listener: &TcpListener, time: Duration) -> Result<()> {
    let (stream, _) = listener.accept().await?;
    let mut buffer = vec![0; CHUNK];
    let mut bytes = stream.read(&mut buffer).await? as u64;
    let start = Instant::now();
    let received = timeout(time, async {
        loop {
            match stream.read(&mut buffer).await {
                Ok(length) if length > 0 => bytes += length as u64,
                end => return end,
            }
        }
    });
    match received.await {
        Err(_) => print_received(bytes, start.elapsed()),
        Ok(end) => return Err(format!("the connection ended early: {end:?}").into()),
    }
    Ok(())
}

async fn send(stream: &TcpStream, mut bytes: u64) -> core::result::Result<(), WriteError> {
    let data = vec![0x5a; CHUNK];
    while bytes > 0 {
        let length = usize::try_from(bytes).map_or(CHUNK, |bytes| bytes.min(CHUNK));
        bytes -= stream.write(&data[..length]).await? as u64;
    }
    Ok(())
}

async fn serve(stream: &TcpStream) -> xila_network_host::Result<()> {
    let mut request = [0; 8];
    let mut length = 0;
    while length < request.len() {
        match stream.read(&mut request[length..]).await? {
            0 => return Ok(()),
            more => length += more,
        }
    }
    send(stream, u64::from_be_bytes(request)).await?;
    stream.shutdown(Shutdown::Write)?;
    while stream.read(&mut request).await? > 0 {}
    Ok(())
}

//! While an interface is down, reads and writes fail with `NetworkDown`, each time. Its connections continue when it is
//! up again, without a lost or repeated byte, and listeners wait.
//!
//! The program sets the loopback down and up itself.

use xila_network_programs::control::{Interface, State};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let lo = Interface::open("lo").expect("the right to control it");
    for place in places() {
        connection(&lo, place).await;
        shut_down(&lo, place).await;
        listener(&lo, place).await;
    }
}

fn set(lo: &Interface, state: State) {
    lo.set_state(state).expect("the right to control it");
}

async fn connection(lo: &Interface, place: SocketAddr) {
    let (mut client, mut server) = connected(place).await;
    let data = pattern(4, 100_000);
    let (first, second) = data.split_at(1000);
    client.write_all(first).await.expect("sent");
    let mut received = vec![0; 400];
    server.read_exact(&mut received).await.expect("what was sent");

    // A read and a write wait when the interface goes down.
    let (mut idle, _peer) = connected(place).await;
    let mut buffer = [0; 9];
    let mut waiting = Box::pin(idle.read(&mut buffer));
    assert!(poll_once(&mut waiting).await.is_pending());
    set(lo, State::Down);
    assert_eq!(waiting.await, Err(Error::NetworkDown));
    for _ in 0..3 {
        assert_eq!(client.write(b"lost").await, Err(Error::NetworkDown));
        assert_eq!(client.write_buf(b"lost".to_vec()).await, (Err(Error::NetworkDown), b"lost".to_vec()));
        assert_eq!(idle.read(&mut [0; 9]).await, Err(Error::NetworkDown));
        assert_eq!(idle.read_buf(Vec::with_capacity(9)).await, (Err(Error::NetworkDown), Vec::new()));
    }
    set(lo, State::Up);

    let write = async {
        client.write_all(second).await.expect("it goes on");
        client.shutdown().await.expect("it goes on");
    };
    let read = async { server.read_to_end(&mut received).await.expect("it goes on") };
    join(write, read).await;
    assert_same(&received, &data);
    client.acknowledged().await.expect("everything arrived");
}

/// A half that is shut down or dropped while the interface is down sends its FIN later.
async fn shut_down(lo: &Interface, place: SocketAddr) {
    for how in ["shutdown", "drop", "failed write, shutdown", "failed write, drop"] {
        let (client, mut server) = connected(place).await;
        let (_read, mut write) = client.into_split();
        write.write_all(b"last").await.expect("sent");
        set(lo, State::Down);
        if how.contains("write") {
            assert_eq!(write.write(b"lost").await, Err(Error::NetworkDown));
        }
        let mut write = Some(write);
        match how.contains("shutdown") {
            true => {
                let half = write.as_mut().expect("the half");
                half.shutdown().await.expect("it needs no network");
                assert!(poll_once(&mut Box::pin(half.acknowledged())).await.is_pending(), "{how}: the peer may answer");
            }
            false => write = None,
        }
        set(lo, State::Up);
        let mut received = Vec::new();
        assert_eq!(server.read_to_end(&mut received).await, Ok(4), "{how}");
        if let Some(mut write) = write {
            assert_eq!(write.acknowledged().await, Ok(()), "{how}");
        }
    }
}

async fn listener(lo: &Interface, place: SocketAddr) {
    let listener = TcpListener::bind(place).expect("a listener");
    let mut incoming = listener.incoming();
    set(lo, State::Down);
    let mut accepting = Box::pin(listener.accept());
    assert!(poll_once(&mut accepting).await.is_pending());
    assert!(poll_once(&mut Box::pin(incoming.next())).await.is_pending());
    assert_eq!(TcpStream::connect(listener.local_addr()).await.map(drop), Err(Error::NetworkDown));
    set(lo, State::Up);
    let (client, accepted) = join(TcpStream::connect(listener.local_addr()), accepting).await;
    assert_eq!(client.expect("a connection").local_addr(), accepted.expect("a connection").1);
}

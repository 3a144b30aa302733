//! When the limit of sockets is reached and a connection waits, accept fails and the stream of connections waits. The
//! waiting connection is returned as soon as another one is dropped. If no connection waits, accept waits for one, as it
//! does below the limit.
//!
//! The host must allow four sockets.

use futures_util::FutureExt;
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let listener = TcpListener::bind(place).unwrap();
        let address = listener.local_addr();
        let others = [(); 3].map(|()| UdpSocket::bind((place.ip(), 0)).unwrap());
        assert!(Box::pin(listener.accept()).now_or_never().is_none(), "nobody waits");
        drop(others);
        let first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(TcpStream::connect(address).await.unwrap_err(), Error::LimitReached);
        assert_eq!(TcpListener::bind((place.ip(), 0)).unwrap_err(), Error::LimitReached);
        assert_eq!(UdpSocket::bind((place.ip(), 0)).unwrap_err(), Error::LimitReached);
        assert_eq!(listener.accept().await.unwrap_err(), Error::LimitReached);

        let mut incoming = listener.incoming();
        {
            let mut next = Box::pin(incoming.next());
            assert!(next.as_mut().now_or_never().is_none(), "a connection beyond the limit");
            drop((first, accepted));
            let mut late = next.await.expect("the connection that waited").unwrap();
            second.write_all(b"late").await.unwrap();
            let mut word = [0; 4];
            late.read_exact(&mut word).await.unwrap();
            assert_eq!(&word, b"late");
        }
        drop(incoming);
        let (_third, accepted) = join(TcpStream::connect(address), listener.accept()).await;
        accepted.unwrap();
    }
}

//! The remote and local addresses with which a TCP socket can connect, and the errors of failed attempts.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let wrong: &[&str] = either(
            place,
            &["127.0.0.1:0", "0.0.0.0:80", "[::1]:80", "224.0.0.1:80", "255.255.255.255:80"],
            &[
                "[::1]:0",
                "[::]:80",
                "127.0.0.1:80",
                "[ff02::1]:80",
                "[::ffff:127.0.0.1]:80",
                "[::ffff:0.0.0.0]:80",
                "[::127.0.0.1]:80",
            ],
        );
        for text in wrong {
            assert_eq!(tcp(place).connect(at(text)).await, Err(ErrorCode::InvalidArgument), "{text}");
            assert_eq!(bound_tcp(place).connect(at(text)).await, Err(ErrorCode::InvalidArgument), "{text}, bound");
        }

        assert_eq!(tcp(place).connect(nobody(place)).await, Err(ErrorCode::ConnectionRefused));
        let far = at(either(place, "192.0.2.1:80", "[2001:db8::1]:80"));
        assert_eq!(tcp(place).connect(far).await, Err(ErrorCode::RemoteUnreachable));

        let (_listener, mut incoming, address) = listening(place);
        // The socket is bound implicitly, ...
        let (client, server) = connect_through(&mut incoming, place, address).await;
        let near = client.get_local_address().unwrap();
        assert_eq!(std(near).ip(), std(address).ip());
        assert_ne!(std(near).port(), 0);
        assert_eq!(client.get_remote_address(), Ok(address));
        assert_eq!((server.get_local_address(), server.get_remote_address()), (Ok(address), Ok(near)));
        talks(&client, &server).await;

        // ... bound to a local address, ...
        let client = bound_tcp(SocketAddr::new(place.ip(), 0));
        let near = client.get_local_address().unwrap();
        client.connect(address).await.unwrap();
        let server = incoming.next().await.unwrap();
        assert_eq!((client.get_local_address(), server.get_remote_address()), (Ok(near), Ok(near)));
        talks(&client, &server).await;

        // ... or bound to a port of the unspecified address, so that the route selects the local address.
        let client = bound_tcp(std(at(either(place, "0.0.0.0:0", "[::]:0"))));
        let port = std(client.get_local_address().unwrap()).port();
        client.connect(address).await.unwrap();
        let server = incoming.next().await.unwrap();
        assert_eq!(client.get_local_address(), Ok(wit(SocketAddr::new(place.ip(), port))));
        assert_eq!(server.get_remote_address(), client.get_local_address());
        talks(&client, &server).await;
    }
}

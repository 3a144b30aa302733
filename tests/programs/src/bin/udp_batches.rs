//! Datagrams that are sent and received in batches all arrive, in order and with their boundaries.

use xila_network_programs::*;

xila_network::main!(run);

const COUNT: usize = 64;

async fn run() {
    for place in places() {
        let (first, second) = socket_pair(place);
        let (here, there) = (first.local_addr(), second.local_addr());
        let batch: Vec<OutgoingDatagram> =
            (0..COUNT).map(|i| OutgoingDatagram { data: pattern(i as u64, i), remote: Some(there) }).collect();
        let mut sent = 0;
        let mut received = Vec::new();
        while sent < COUNT {
            let count = first.send_many(batch[sent..].to_vec()).await.unwrap();
            assert!(count > 0, "room for the first one was to be waited for");
            sent += count;
            while received.len() < sent {
                let datagrams = second.recv_many(7).await.unwrap();
                assert!((1..=7).contains(&datagrams.len()));
                received.extend(datagrams);
            }
        }
        for (i, datagram) in received.iter().enumerate() {
            assert_eq!(datagram.remote, here);
            assert_same(&datagram.data, &pattern(i as u64, i));
        }

        assert_eq!(first.send_many(Vec::new()).await.unwrap(), 0);
        assert_eq!(second.recv_many(0).await.unwrap_err(), Error::InvalidArgument);

        // With one invalid datagram in a batch, those before it are sent; the invalid one fails when it is the first.
        let good = OutgoingDatagram { data: b"good".to_vec(), remote: Some(there) };
        let bad = OutgoingDatagram { data: b"bad".to_vec(), remote: None };
        let mixed = vec![good.clone(), good.clone(), bad.clone(), good];
        assert_eq!(first.send_many(mixed).await.unwrap(), 2);
        assert_eq!(first.send_many(vec![bad]).await.unwrap_err(), Error::InvalidState);
        for _ in 0..2 {
            assert_eq!(second.recv_datagram().await.unwrap().data, b"good");
        }
    }
}

//! Datagrams arrive whole, in order on the loopback, with the address of their sender, and can be returned to it.

use xila_network_programs::p2::*;

const COUNT: usize = 200;

fn main() {
    each_family(|family| {
        let ((client, here), (server, there)) = (bound_udp(family), bound_udp(family));
        let (client, server) = (stream(&client, None).expect("streams"), stream(&server, None).expect("streams"));
        let sent: Vec<OutgoingDatagram> =
            (0..COUNT).map(|i| datagram(&pattern(i as u64, 5 * i), Some(there))).collect();
        let mut back = Vec::new();
        for batch in sent.chunks(20) {
            send_all(&client.outgoing, batch).expect("sent");
            let mut echoed = 0;
            while echoed < batch.len() {
                let heard = await_datagrams(&server.incoming, 7).expect("datagrams");
                echoed += heard.len();
                let echoes: Vec<OutgoingDatagram> = heard
                    .iter()
                    .map(|(data, from)| {
                        assert_eq!(*from, here);
                        datagram(data, Some(*from))
                    })
                    .collect();
                send_all(&server.outgoing, &echoes).expect("sent");
            }
            assert_eq!(echoed, batch.len());
            let mut returned = 0;
            while returned < batch.len() {
                let heard = await_datagrams(&client.incoming, 64).expect("datagrams");
                returned += heard.len();
                back.extend(heard);
            }
        }
        assert_eq!(back.len(), COUNT);
        for (i, (data, from)) in back.iter().enumerate() {
            assert_eq!(*from, there);
            assert_same(data, &pattern(i as u64, 5 * i));
        }
        assert!(!client.incoming.subscribe().ready(), "nothing is left");
    });
}

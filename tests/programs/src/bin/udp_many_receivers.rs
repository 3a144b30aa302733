//! Ten tasks wait on one socket: each datagram goes to one of them, and every task gets its datagram.

use std::cell::RefCell;
use std::rc::Rc;

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (first, second) = socket_pair(place);
        let there = second.local_addr();
        let second = Rc::new(second);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let receivers = (0..10).map(|_| {
            let (second, seen) = (Rc::clone(&second), Rc::clone(&seen));
            async move {
                for _ in 0..5 {
                    let datagram = second.recv_datagram().await.unwrap();
                    seen.borrow_mut().push(datagram.data[0]);
                }
            }
        });
        let sender = async {
            for number in 0..50u8 {
                first.send_to(&[number], there).await.unwrap();
                yield_now().await;
            }
        };
        join(join_all(receivers), sender).await;
        let mut seen = seen.take();
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<u8>>());
    }
}

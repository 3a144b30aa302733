//! Two separate tasks read and write one connection at the same time.

use std::cell::RefCell;
use std::rc::Rc;

use xila_network_programs::*;

xila_network::main!(run);

const LENGTH: usize = 1024 * 1024;

async fn run() {
    for place in places() {
        let (client, server) = connected(place).await;
        let (mut read, mut write) = client.into_split();

        let (mut server_read, mut server_write) = server.into_split();
        spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let length = server_read.read(&mut buffer).await.unwrap();
                if length == 0 {
                    break;
                }
                server_write.write_all(&buffer[..length]).await.unwrap();
            }
            server_write.shutdown().await.unwrap();
        });

        let data = Rc::new(pattern(5, LENGTH));
        let sent = Rc::clone(&data);
        spawn(async move {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
        });

        let received = Rc::new(RefCell::new(Vec::new()));
        let all = Rc::clone(&received);
        let reader = async move {
            let mut buffer = Vec::new();
            read.read_to_end(&mut buffer).await.unwrap();
            *all.borrow_mut() = buffer;
        };
        reader.await;
        assert_same(&received.borrow(), &data);
    }
}

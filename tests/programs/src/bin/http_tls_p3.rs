//! Speaks TLS by `wasi:tls` 0.3 over a connection of `wasi:sockets` 0.3, `ADDRESS:PORT NAME`, and prints what the server
//! says.

use xila_network_programs::http::tls_p3::wasi::tls::client::Connector;
use xila_network_programs::http::tls_p3::wit_stream;
use xila_network_programs::p3::{at, tcp};

xila_network::main!(run);

async fn run() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, name] = &words[..] else { panic!("ADDRESS:PORT NAME") };
    let socket = tcp(address.parse().expect("an address"));
    socket.connect(at(address)).await.expect("a connection");
    let (received, _) = socket.receive();
    let connector = Connector::new();
    let (mut writer, cleartext) = wit_stream::new();
    let (ciphertext, sent) = connector.send(cleartext);
    let (contents, heard) = connector.receive(received);
    let sending = socket.send(ciphertext);
    if let Err(problem) = Connector::connect(connector, name.clone()).await {
        println!("no TLS: {}", problem.to_debug_string());
        return;
    }
    let rest = writer.write_all(b"GET /hello HTTP/1.0\r\nhost: localhost\r\n\r\n".to_vec()).await;
    assert!(rest.is_empty(), "the request is not wanted");
    let text = String::from_utf8(contents.collect().await).expect("text");
    println!("{}", text.lines().next().expect("a line"));
    // This sends the end.
    drop(writer);
    sent.await.map_err(|error| error.to_debug_string()).expect("all was sent");
    heard.await.map_err(|error| error.to_debug_string()).expect("a whole response");
    drop(sending);
}

//! Each end may stop sending and continue to receive.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (client, server) = connected(place).await;
        closes_first(client, server).await;
        let (client, server) = connected(place).await;
        closes_first(server, client).await;
    }
}

async fn closes_first(mut first: TcpStream, mut second: TcpStream) {
    first.write_all(b"question").await.unwrap();
    first.shutdown().await.unwrap();
    assert_eq!(first.write(b"more").await.unwrap_err(), Error::BrokenPipe);

    let mut question = Vec::new();
    second.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    assert_eq!(second.read(&mut [0; 8]).await.unwrap(), 0, "the end stays the end");

    second.write_all(b"answer").await.unwrap();
    let mut answer = [0; 6];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");

    let (theirs, ours) = join(second.acknowledged(), first.acknowledged()).await;
    theirs.unwrap();
    ours.unwrap();
    assert_eq!(first.read(&mut [0; 8]).await.unwrap(), 0);
}

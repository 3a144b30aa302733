//! curl against a minimal HTTP server on the stack.

use xila_network_host::Error;
use xila_network_host::socket::TcpStream;

use super::{FAMILIES, listen, with_kernel};

const PAGE: usize = 3 << 20;

/// Reads the head of one request and answers with a page.
async fn serve(stream: &TcpStream) -> Result<(), Error> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 512];
        let count = stream.read(&mut buffer).await?;
        assert_ne!(count, 0, "curl sends a whole request");
        head.extend_from_slice(&buffer[..count]);
    }
    assert!(head.starts_with(b"GET /page HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&head));
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {PAGE}\r\nConnection: close\r\n\r\n");
    stream.write_all(response.as_bytes()).await?;
    Ok(stream.write_all(&vec![b'x'; PAGE]).await?)
}

#[test]
fn curl_fetches_a_page_from_a_listener() {
    with_kernel(&["curl"], 1500, async |namespace, manager| {
        for (_, stack) in FAMILIES {
            let listener = listen(manager, stack, 80);
            let url = if stack.is_ipv4() { format!("http://{stack}/page") } else { format!("http://[{stack}]/page") };
            let write_out = "%{http_code} %{size_download}\n";
            let arguments = ["-sS", "--noproxy", "*", "-o", "/dev/null", "-w", write_out, "--max-time", "60", &url];
            let mut curl = namespace.start("curl", &arguments);
            let (stream, _) = listener.accept().await.unwrap();
            serve(&stream).await.unwrap();
            drop(stream);
            assert_eq!(curl.line().await, format!("200 {PAGE}"));
            curl.succeed().await;
        }
    });
}

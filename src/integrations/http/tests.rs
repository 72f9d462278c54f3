//! The client against bare sockets, which misbehave in ways that no server does on purpose.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;

fn bounds(timeout: Duration) -> Bounds {
    Bounds { deadline: Instant::now() + timeout, stop: CancellationToken::new() }
}

fn request(url: &str) -> Request {
    let request = Request::post_json(Url::parse(url).unwrap(), &serde_json::json!({"to": "+233241234567"}));
    request.authorized("Bearer", "hunter2").unwrap()
}

/// A server that takes one connection, reads the request and does this with it.
async fn serve<F, Fut>(then: F) -> String
where
    F: FnOnce(String, TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"}") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        }
        then(String::from_utf8(seen).unwrap(), stream).await;
    });
    address
}

async fn answered(text: &'static [u8]) -> Result<Answer, Lost> {
    let address = serve(move |_, mut stream| async move { stream.write_all(text).await.unwrap() }).await;
    Http::new().unwrap().call(request(&address), &bounds(Duration::from_secs(20))).await
}

#[tokio::test]
async fn a_request_carries_its_length_its_agent_and_its_authorization() {
    let (told, head) = oneshot::channel();
    let address = serve(|seen, mut stream| async move {
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        told.send(seen).unwrap();
    })
    .await;
    Http::new().unwrap().call(request(&address), &bounds(Duration::from_secs(20))).await.unwrap();
    let head = head.await.unwrap().to_lowercase();
    for line in ["content-length: 22\r\n", "user-agent: rowcall/", "authorization: bearer hunter2\r\n"] {
        assert!(head.contains(line), "{head}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let answer =
        answered(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
}

#[tokio::test]
async fn a_body_that_ends_early_or_never_leaves_the_status() {
    let torn = answered(b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 50\r\n\r\n{}").await.unwrap();
    assert_eq!((torn.status.as_u16(), torn.retry_after, torn.is_whole), (429, Some(Duration::from_secs(7)), false));
    assert_eq!(torn.json::<serde_json::Value>(), None);

    let address = serve(|_, mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        // Ends with an error when the client has had enough of it.
        while stream.write_all(&[b' '; 8192]).await.is_ok() {}
    })
    .await;
    let endless = Http::new().unwrap().call(request(&address), &bounds(Duration::from_secs(20))).await.unwrap();
    assert_eq!((endless.status.as_u16(), endless.is_whole), (200, false));
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let refused = request(&format!("http://127.0.0.1:{port}/"));
    let lost = Http::new().unwrap().call(refused, &bounds(Duration::from_secs(20))).await.unwrap_err();
    assert_eq!((lost.sent, lost.cause), (Sent::No, Cause::Unreachable));
    assert!(lost.reason.starts_with("Connection refused"), "{}", lost.reason);

    let nowhere = request("http://nowhere.invalid/");
    let lost = Http::new().unwrap().call(nowhere, &bounds(Duration::from_secs(20))).await.unwrap_err();
    assert_eq!(lost.sent, Sent::No, "{lost:?}");
}

#[tokio::test]
async fn in_the_middle_of_a_tls_handshake_nothing_was_sent() {
    for is_stopped in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}/", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let cancel = stop.clone();
        tokio::spawn(async move {
            // Takes the greeting and never returns it.
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            if is_stopped {
                cancel.cancel();
            }
            std::future::pending::<()>().await;
        });
        let patience = Duration::from_millis(if is_stopped { 60_000 } else { 300 });
        let bounds = Bounds { deadline: Instant::now() + patience, stop };
        let lost = Http::new().unwrap().call(request(&address), &bounds).await.unwrap_err();
        let cause = if is_stopped { Cause::Stopped } else { Cause::TimedOut };
        assert_eq!((lost.sent, lost.cause), (Sent::No, cause));
    }
}

#[tokio::test]
async fn after_the_request_everything_is_perhaps() {
    let address = serve(|_, stream| async move { drop(stream) }).await;
    let lost = Http::new().unwrap().call(request(&address), &bounds(Duration::from_secs(20))).await.unwrap_err();
    assert_eq!((lost.sent, lost.cause), (Sent::Perhaps, Cause::Broken));

    let address = serve(|_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let lost = Http::new().unwrap().call(request(&address), &bounds(Duration::from_millis(300))).await.unwrap_err();
    assert_eq!((lost.sent, lost.cause), (Sent::Perhaps, Cause::TimedOut));
}

#[tokio::test]
async fn an_answer_that_comes_within_the_grace_of_a_stop_counts() {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    let address = serve(|_, mut stream| async move {
        cancel.cancel();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    })
    .await;
    let bounds = Bounds { deadline: Instant::now() + Duration::from_mins(1), stop };
    let answer = Http::new().unwrap().call(request(&address), &bounds).await.unwrap();
    assert_eq!(answer.json::<serde_json::Value>(), Some(serde_json::json!({})));
}

#[tokio::test]
async fn nothing_private_is_in_debug_output() {
    let address = serve(|_, mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n\"+233241234567\"").await.unwrap();
    })
    .await;
    let request = request(&address);
    let shown = format!("{request:?}");
    let answer = Http::new().unwrap().call(request, &bounds(Duration::from_secs(20))).await.unwrap();
    let shown = format!("{shown}{answer:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("23324") && !shown.contains("127.0.0.1"), "{shown}");
}

//! Responds immediately: over HTTP/1.1 with 2 bytes, or 100 KiB for `/large`; over HTTP/2 with 16 bytes and trailers.
//!
//! The HTTP/1.1 server implements only what the proxies send, since it shares a core with the clients: requests without a body
//! or with a `content-length`, without pipelining.

use std::convert::Infallible;
use std::io;
use std::sync::LazyLock;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::http2::Local;

static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| response(2));
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| response(100 << 10));

fn response(length: usize) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ";
    [
        format!("{head}{length}\r\n\r\n").into_bytes(),
        vec![b'x'; length],
    ]
    .concat()
}

/// Serves both protocols.
pub(crate) async fn run(http1: TcpListener, http2: TcpListener) -> io::Result<()> {
    loop {
        tokio::select! {
            stream = crate::accept(&http1) => {
                tokio::task::spawn_local(serve_http1(stream?));
            }
            stream = crate::accept(&http2) => {
                let connection = http2::Builder::new(Local)
                    .max_concurrent_streams(1000)
                    .serve_connection(TokioIo::new(stream?), service_fn(call));
                tokio::task::spawn_local(connection);
            }
        }
    }
}

// ---- HTTP/1.1

async fn serve_http1(mut stream: TcpStream) -> io::Result<()> {
    let mut data = Vec::with_capacity(32 << 10);
    loop {
        let head = loop {
            if let Some(end) = end_of_head(&data) {
                break end;
            }
            if stream.read_buf(&mut data).await? == 0 {
                return Ok(());
            }
        };
        let body = content_length(&data[..head])?;
        let response = if data.starts_with(b"GET /large ") {
            &*LARGE
        } else {
            &*SMALL
        };
        let mut missing = (head + body).saturating_sub(data.len());
        data.drain(..data.len().min(head + body));
        while missing > 0 {
            data.clear();
            let read = (&mut stream)
                .take(missing as u64)
                .read_buf(&mut data)
                .await?;
            if read == 0 {
                return Ok(());
            }
            missing -= read;
            data.clear();
        }
        stream.write_all(response).await?;
    }
}

fn end_of_head(data: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    if data.ends_with(END) && !data.starts_with(b"POST") {
        return Some(data.len());
    }
    data.windows(END.len())
        .position(|found| found == END)
        .map(|at| at + END.len())
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    let mut length = 0;
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = str::from_utf8(value)
                .ok()
                .and_then(|value| value.parse().ok());
            length = value.ok_or(io::ErrorKind::InvalidData)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(io::ErrorKind::Unsupported.into());
        }
    }
    Ok(length)
}

// ---- HTTP/2

/// Reads the whole request, and responds like a gRPC method.
async fn call(
    request: Request<Incoming>,
) -> hyper::Result<Response<impl Body<Data = Bytes, Error = Infallible>>> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    );
    let message = Full::new(Bytes::from_static(b"\0\0\0\0\x0bhello world"));
    let mut response = Response::new(message.with_trailers(async { Some(Ok(trailers)) }));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    Ok(response)
}

//! What carries bytes: a stream, or a WebSocket's messages.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Bytes asked of a stream at once, while little comes and while much does. Thousands of workers are silent most of the
/// time, each with its buffer.
const LITTLE: usize = 4 * 1024;
const MUCH: usize = 64 * 1024;

/// A connection, whatever secures it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// The reading end. Dropping a `read` that has not ended loses nothing.
#[async_trait]
pub(super) trait Reader: Send {
    /// The next bytes: a message where there are messages. `None`: the peer has ended.
    async fn read(&mut self) -> io::Result<Option<Bytes>>;
}

/// The writing end.
#[async_trait]
pub(super) trait Writer: Send {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()>;
    async fn close(&mut self);
}

/// The two ends of one connection.
pub(super) struct Transport {
    pub reader: Box<dyn Reader>,
    pub writer: Box<dyn Writer>,
}

impl Transport {
    pub fn plain<S: Stream>(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let reader = PlainReader { from: reader, buffer: BytesMut::new(), next: LITTLE };
        Transport { reader: Box::new(reader), writer: Box::new(PlainWriter(writer)) }
    }

    pub fn websocket<S: Stream>(socket: WebSocketStream<S>) -> Self {
        let (sink, stream) = socket.split();
        Transport { reader: Box::new(SocketReader(stream)), writer: Box::new(SocketWriter(sink)) }
    }
}

struct PlainReader<S> {
    from: ReadHalf<S>,
    buffer: BytesMut,
    /// Bytes to ask for.
    next: usize,
}

#[async_trait]
impl<S: Stream> Reader for PlainReader<S> {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        self.buffer.reserve(self.next);
        let count = self.from.read_buf(&mut self.buffer).await?;
        self.next = if count >= self.next { MUCH } else { LITTLE };
        Ok((count > 0).then(|| self.buffer.split().freeze()))
    }
}

struct PlainWriter<S>(WriteHalf<S>);

#[async_trait]
impl<S: Stream> Writer for PlainWriter<S> {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.0.write_all(&bytes).await?;
        self.0.flush().await
    }

    async fn close(&mut self) {
        // The connection is given up anyway.
        let _ = self.0.shutdown().await;
    }
}

struct SocketReader<S>(SplitStream<WebSocketStream<S>>);

#[async_trait]
impl<S: Stream> Reader for SocketReader<S> {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.0.next().await {
                None => return Ok(None),
                Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes)),
                Some(Ok(Message::Close(_))) => return Ok(None),
                // Pings are answered below; text is nothing of this protocol.
                Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => return Ok(None),
                Some(Err(error)) => return Err(to_io(error)),
            }
        }
    }
}

struct SocketWriter<S>(SplitSink<WebSocketStream<S>, Message>);

#[async_trait]
impl<S: Stream> Writer for SocketWriter<S> {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.0.send(Message::Binary(bytes)).await.map_err(to_io)
    }

    async fn close(&mut self) {
        // The connection is given up anyway.
        let _ = self.0.close().await;
    }
}

fn to_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

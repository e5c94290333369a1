//! A client for HTTP/1.1 on one kept connection, as light as can be: it shares the machine with what it measures.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub struct Http {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Http {
    pub fn connect(address: &str) -> Result<Http> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Http { stream: BufReader::new(stream), host: address.to_string() })
    }

    /// Whether it is said of an answer that it did not come in time.
    pub fn is_timeout(error: &anyhow::Error) -> bool {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut))
    }

    /// The body of an answer with status 200.
    pub fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\n\r\n", self.host);
        self.exchange(&request, path)
    }

    /// Carries out a control action; the reply.
    pub fn control(
        &mut self,
        path: &str,
        method: &str,
        params: &serde_json::Value,
    ) -> Result<serde_json::Value> {
        let body =
            serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        Ok(serde_json::from_slice(&self.exchange(&request, path)?)?)
    }

    fn exchange(&mut self, request: &str, what: &str) -> Result<Vec<u8>> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_string();
        let mut length = 0;
        loop {
            line.clear();
            ensure!(self.stream.read_line(&mut line)? > 0, "{what}: the connection was closed");
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        ensure!(status == "200", "{what}: {status} {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}

//! Those who talk to the relay: a client of our own, Postfix's `smtp-source`, `swaks`, a browser.

use crate::wait::LIMIT;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};

/// A client that says what it is told to, and nothing else.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects, and does not wait for a greeting.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Connects and says EHLO.
    pub(crate) fn greeted(port: u16) -> Result<Self> {
        let mut client = Self::connect(port)?;
        client.reply()?;
        client.command("EHLO client.example")?;
        Ok(client)
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) -> Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// One line, without its end; empty at the end of the stream.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// The last line of a reply.
    pub(crate) fn reply(&mut self) -> Result<String> {
        loop {
            let line = self.line()?;
            match line.as_bytes().get(3) {
                Some(b'-') => {}
                Some(_) => return Ok(line),
                None => return Err(Error::new(ErrorKind::UnexpectedEof, line)),
            }
        }
    }

    /// Says a line, and waits for its reply.
    pub(crate) fn command(&mut self, line: &str) -> Result<String> {
        self.say(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends a message: the reply to its end, or the first refusal before.
    pub(crate) fn send(&mut self, from: &str, to: &str, body: &[u8]) -> Result<String> {
        for line in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".into()] {
            let reply = self.command(&line)?;
            if reply.starts_with(['4', '5']) {
                return Ok(reply);
            }
        }
        self.say(body)?;
        self.say(b".\r\n")?;
        self.reply()
    }

    /// Whatever still comes, to the end of the stream.
    pub(crate) fn rest(&mut self) -> Result<String> {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            // A reset ends a conversation too.
            Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error),
            Ok(_) | Err(_) => Ok(String::from_utf8_lossy(&rest).into_owned()),
        }
    }

    /// The stream, to end one direction of it.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }
}

/// Sends one message of an own session, which must be taken; the id it got.
pub(crate) fn sent(port: u16, from: &str, to: &str, body: &str) -> String {
    let mut client = Client::greeted(port).expect("a greeting");
    let reply = client.send(from, to, body.as_bytes()).expect("replies");
    let id = reply.strip_prefix("250 2.0.0 Ok: queued as ");
    id.unwrap_or_else(|| panic!("not taken: {reply}")).to_owned()
}

/// Runs Postfix's load generator to its end.
pub(crate) fn smtp_source(port: u16, arguments: &[&str]) {
    run("smtp-source", arguments, &[&format!("127.0.0.1:{port}")]);
}

/// Runs swaks to its end; the dialogue that it prints.
pub(crate) fn swaks(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    run("swaks", &["--server", "127.0.0.1", "--port", &port, "--helo", "client.example"], arguments)
}

fn run(program: &str, arguments: &[&str], more: &[&str]) -> String {
    // Debian keeps Postfix's programs where only administrators look.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.env("PATH", path).args(arguments).args(more).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| {
        panic!("{program}: {error}; `cargo xtask packages` installs it");
    });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}\n{text}{errors}", output.status);
    text
}

/// The status and the body of `GET path`.
pub(crate) fn get(port: u16, path: &str) -> (u16, String) {
    let mut client = Client::connect(port).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    client.say(request.as_bytes()).expect("a request");
    let answer = client.rest().expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, body.to_owned())
}

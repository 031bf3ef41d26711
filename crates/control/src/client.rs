//! The other end of the admin API: what the commands use.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

pub use hyper::Method;

/// How long a relay may take to answer: more than it gives its shards.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens.
    NotRunning {
        /// Where.
        socket: PathBuf,
    },
    /// This user may not connect.
    NotPermitted {
        /// Where.
        socket: PathBuf,
    },
    /// The relay says no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its reason.
        text: String,
    },
    /// The relay does not answer as it should.
    Broken {
        /// How.
        text: String,
    },
}

impl ClientError {
    /// The exit code of the process (sysexits.h).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotRunning { .. } => 69,
            Self::NotPermitted { .. } => 77,
            Self::Refused { status: 507, .. } => 75,
            Self::Refused { status: 500, .. } => 74,
            Self::Refused { .. } => 65,
            Self::Broken { .. } => 75,
        }
    }

    pub(crate) fn broken(error: &dyn fmt::Display) -> Self {
        Self::Broken { text: error.to_string() }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { socket } => write!(
                f,
                "no relay listens at {}; start it, or name its socket with --socket or its \
                 configuration with --config",
                socket.display()
            ),
            Self::NotPermitted { socket } => write!(
                f,
                "no permission for {}; be the relay's user or in its group (control.group)",
                socket.display()
            ),
            Self::Refused { text, .. } => f.write_str(text),
            Self::Broken { text } => write!(f, "the relay did not answer: {text}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// Asks the relay that listens at `socket` and waits for its answer. `path` begins with a slash and
/// may have a query.
///
/// # Errors
/// As [`ClientError`] says; an answer that is not 2xx is `Refused`.
pub fn call(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, ClientError> {
    within(PATIENCE, async {
        let mut sender = connect(socket).await?;
        let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let asked = request(method, path, Full::new(bytes))?;
        let reply =
            sender.send_request(asked).await.map_err(|error| ClientError::broken(&error))?;
        answer_of(reply).await
    })
}

/// Runs `asking` to its end on this thread, for at most `patience`.
pub(crate) fn within<T>(
    patience: Duration,
    asking: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ClientError::broken(&error))?;
    runtime.block_on(async {
        let asked = tokio::time::timeout(patience, asking);
        asked.await.unwrap_or_else(|_| Err(ClientError::broken(&"no answer in time")))
    })
}

/// A connection to the relay that listens at `socket`.
pub(crate) async fn connect<B>(socket: &Path) -> Result<SendRequest<B>, ClientError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = UnixStream::connect(socket).await.map_err(|error| refusal(socket, &error))?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ClientError::broken(&error))?;
    // The connection ends with its sender; an error of it is the sender's error too.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// A request with what each of ours has.
pub(crate) fn request<B>(method: Method, path: &str, body: B) -> Result<Request<B>, ClientError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "ringpost")
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| ClientError::broken(&error))
}

/// The whole answer as JSON.
pub(crate) async fn answer_of(reply: Response<Incoming>) -> Result<Value, ClientError> {
    let status = reply.status();
    let answer = Limited::new(reply.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| ClientError::broken(&error))?
        .to_bytes();
    read(status, &answer)
}

/// What an answer that is not 2xx means.
pub(crate) async fn refusal_of(reply: Response<Incoming>) -> ClientError {
    let status = reply.status().as_u16();
    match answer_of(reply).await {
        Err(error) => error,
        Ok(value) => ClientError::Refused { status, text: value.to_string() },
    }
}

fn refusal(socket: &Path, error: &io::Error) -> ClientError {
    let socket = socket.to_path_buf();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NotRunning { socket }
        }
        io::ErrorKind::PermissionDenied => ClientError::NotPermitted { socket },
        _ => ClientError::Broken { text: format!("{}: {error}", socket.display()) },
    }
}

/// The answer, or the `error` of one that is not 2xx.
fn read(status: StatusCode, answer: &[u8]) -> Result<Value, ClientError> {
    let value: Result<Value, _> = serde_json::from_slice(answer);
    if status.is_success() {
        return value.map_err(|error| ClientError::broken(&error));
    }
    let said = value.ok().and_then(|value| value["error"].as_str().map(str::to_owned));
    let text = said.unwrap_or_else(|| String::from_utf8_lossy(answer).into_owned());
    Err(ClientError::Refused { status: status.as_u16(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_is_not_there_is_not_running() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("control.sock");
        let error = call(&socket, Method::GET, "/status", None).expect_err("nobody is there");
        assert_eq!(error.exit_code(), 69, "{error}");
        drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
        let error = call(&socket, Method::GET, "/status", None).expect_err("it is gone");
        assert_eq!(error.exit_code(), 69, "{error}");
    }

    #[test]
    fn a_refusal_carries_its_reason() {
        let error = read(StatusCode::NOT_FOUND, br#"{"error":"no such message"}"#);
        assert_eq!(error.expect_err("404").to_string(), "no such message");
        let error = read(StatusCode::BAD_REQUEST, b"what?").expect_err("400");
        assert_eq!(error.exit_code(), 65);
        assert_eq!(read(StatusCode::OK, b"{}").expect("200"), serde_json::json!({}));
    }
}

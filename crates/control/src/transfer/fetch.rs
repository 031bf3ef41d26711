//! The commands' end of an export and of an import.

use super::ExportFrame;
use super::frame::Frames;
use crate::client::{ClientError, connect, refusal_of, request, within};
use crate::portable;
use http_body_util::{BodyExt, Empty};
use hyper::Method;
use hyper::body::{Body, Bytes, Frame};
use mail::MessageId;
use queue::Portable;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long the next frame may take: more than the relay gives its shards.
const FRAME_PATIENCE: Duration = Duration::from_secs(60);

/// How long one message may take on its way in.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Bytes of a file that are read at a time.
const PIECE: usize = 64 << 10;

/// Asks the relay at `socket` for all its messages. `each` is told every frame, until it breaks off
/// or [`ExportFrame::Over`] has been told.
///
/// # Errors
/// As [`ClientError`] says, also when the answer ends before it is over.
pub fn export(
    socket: &Path,
    each: &mut dyn FnMut(ExportFrame) -> ControlFlow<()>,
) -> Result<(), ClientError> {
    within(Duration::MAX, async {
        let mut sender = connect(socket).await?;
        let asked = request(Method::GET, "/queue/export", Empty::<Bytes>::new())?;
        let reply =
            sender.send_request(asked).await.map_err(|error| ClientError::broken(&error))?;
        if !reply.status().is_success() {
            return Err(refusal_of(reply).await);
        }
        let mut body = reply.into_body();
        let mut frames = Frames::default();
        loop {
            while let Some(frame) = frames.next().map_err(|why| ClientError::broken(&why))? {
                if let ExportFrame::Failed(why) = frame {
                    return Err(ClientError::broken(&why));
                }
                let over = frame == ExportFrame::Over;
                if each(frame).is_break() || over {
                    return Ok(());
                }
            }
            let next = tokio::time::timeout(FRAME_PATIENCE, body.frame()).await;
            match next.map_err(|_| ClientError::broken(&"no answer in time"))? {
                Some(Ok(frame)) => frames.push(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(ClientError::broken(&error)),
                None => return Err(ClientError::broken(&"it broke off in the middle")),
            }
        }
    })
}

/// Gives the relay at `socket` one message, whose bytes come from `bytes`; its new id.
///
/// # Errors
/// As [`ClientError`] says. After `Broken` nobody knows whether the message was taken.
pub fn import(
    socket: &Path,
    message: &Portable,
    bytes: Box<dyn Read + Send>,
) -> Result<MessageId, ClientError> {
    let mut words = portable::write(message).to_string();
    words.push('\n');
    let upload = Upload { words: Some(Bytes::from(words)), bytes };
    let answer = within(MESSAGE_PATIENCE, async {
        let mut sender = connect(socket).await?;
        let asked = request(Method::POST, "/queue/import", upload)?;
        let reply =
            sender.send_request(asked).await.map_err(|error| ClientError::broken(&error))?;
        crate::client::answer_of(reply).await
    })?;
    let id = answer["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| ClientError::broken(&"it told no id"))
}

/// The body of an import: the words, then a file. The one thread of a command may wait for it.
struct Upload {
    words: Option<Bytes>,
    bytes: Box<dyn Read + Send>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(words) = self.words.take() {
            return Poll::Ready(Some(Ok(Frame::data(words))));
        }
        let mut piece = vec![0; PIECE];
        Poll::Ready(match self.bytes.read(&mut piece) {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                Some(Ok(Frame::data(Bytes::from(piece))))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

//! The relay's end: the routes, and what a shard does for them.

use super::ExportFrame;
use crate::fan::Shards;
use crate::http::{Desk, no};
use crate::order::{Answer, Order};
use crate::portable;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame};
use mail::MessageId;
use queue::{Export, ExportStep, ImportError, Portable, Queue};
use reactor::{Reactor, Receiver, Sender};
use serde_json::json;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a shard may take for one piece: a slow disk and much other work.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a message may take to become durable. After that nobody knows, which is said.
const COMMIT_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are handed to a shard at a time.
const PIECE: usize = 64 << 10;

/// The longest envelope that is read, in bytes.
const WORDS_BYTES_MAX: usize = 16 << 20;

/// Frames that wait for a slow reader.
const FRAMES_AHEAD: usize = 2;

/// A piece of a message on its way to a shard.
pub enum ImportPiece {
    /// Bytes, and how they are acknowledged.
    Bytes(Vec<u8>, Answer<()>),
    /// The message is whole.
    End,
}

/// On a shard: gives the next step of an export whenever it is asked for one, until nobody is there
/// to ask.
pub(crate) async fn carry_out(
    mut export: Export,
    mut wanted: Receiver<Answer<ExportStep>>,
    reactor: Reactor,
) {
    while let Some(answer) = wanted.recv(&reactor).await {
        answer(export.next().await);
    }
}

/// On a shard: takes one message, piece by piece. One that ends early is forgotten.
pub(crate) async fn carry_in(
    queue: Queue,
    message: Box<Portable>,
    mut pieces: Receiver<ImportPiece>,
    reactor: Reactor,
) -> Result<MessageId, ImportError> {
    let mut import = queue.import();
    loop {
        match pieces.recv(&reactor).await {
            Some(ImportPiece::Bytes(bytes, taken)) => {
                import.append(&bytes).await?;
                taken(());
            }
            Some(ImportPiece::End) => return import.commit(&message).await,
            None => return Err(ImportError::Malformed("it was cut off".into())),
        }
    }
}

/// `GET /queue/export`.
pub(crate) async fn serve_export(State(desk): State<Arc<Desk>>) -> Response {
    let (sender, frames) = mpsc::channel(FRAMES_AHEAD);
    tokio::spawn(async move {
        // Who asked may have gone; then nothing is left to be told.
        if let Some(last) = export_all(&desk.shards, &sender).await {
            drop(sender.send(Bytes::from(last.encode())).await);
        }
    });
    Body::new(Answered(frames)).into_response()
}

/// Sends what every shard has; the last frame, unless nobody reads any more.
async fn export_all(shards: &Shards, sender: &mpsc::Sender<Bytes>) -> Option<ExportFrame> {
    for shard in 0..shards.len() {
        let (wants, wanted) = reactor::channel(1);
        let silent = || ExportFrame::Failed(format!("shard {shard} does not answer"));
        if !shards.give(shard, Order::Export { wanted }) {
            return Some(silent());
        }
        loop {
            match next_step(&wants).await {
                None => return Some(silent()),
                Some(ExportStep::Over) => break,
                Some(step) => {
                    let frame = ExportFrame::from(step).encode();
                    sender.send(Bytes::from(frame)).await.ok()?;
                }
            }
        }
    }
    Some(ExportFrame::Over)
}

async fn next_step(wants: &Sender<Answer<ExportStep>>) -> Option<ExportStep> {
    let (answer, answered) = oneshot::channel();
    let answer: Answer<ExportStep> = Box::new(move |step| drop(answer.send(step)));
    wants.try_send(answer).ok()?;
    tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
}

/// The body of an answer that comes frame by frame.
struct Answered(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Answered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// `POST /queue/import`.
pub(crate) async fn serve_import(State(desk): State<Arc<Desk>>, body: Body) -> Response {
    let mut body = body;
    let result = import_one(&desk.shards, &mut body).await;
    // A refusal that is sent before the request has ended may never be read.
    while let Some(Ok(_)) = body.frame().await {}
    match result {
        Ok(id) => Json(json!({ "id": id.to_string() })).into_response(),
        Err((status, why)) => no(status, &why),
    }
}

async fn import_one(shards: &Shards, body: &mut Body) -> Result<MessageId, (StatusCode, String)> {
    let unanswered = |why: &str| (StatusCode::GATEWAY_TIMEOUT, why.to_owned());
    let (words, rest) =
        read_words(body).await.map_err(|why| (StatusCode::UNPROCESSABLE_ENTITY, why))?;
    let (sender, pieces) = reactor::channel(1);
    let (answer, answered) = oneshot::channel();
    let answer: Answer<Result<MessageId, ImportError>> =
        Box::new(move |result| drop(answer.send(result)));
    // Any shard takes any message; ids of one log are spread evenly.
    let shard = (words.id.sequence() % shards.len() as u64) as usize;
    if !shards.give(shard, Order::Import { message: Box::new(words), pieces, answer }) {
        return Err(unanswered(&format!("shard {shard} does not answer; nothing was taken")));
    }
    if carry(&sender, rest, body).await {
        // One that has refused the message has gone, and its answer says why.
        drop(sender.try_send(ImportPiece::End));
    }
    drop(sender);
    match tokio::time::timeout(COMMIT_PATIENCE, answered).await {
        Ok(Ok(Ok(id))) => Ok(id),
        Ok(Ok(Err(error))) => Err((status_of(&error), error.to_string())),
        Ok(Err(_)) | Err(_) => Err(unanswered("no answer; it may have been taken all the same")),
    }
}

/// Carries all bytes of the request to the shard; `false` when they end early, or the shard does
/// not want them.
async fn carry(sender: &Sender<ImportPiece>, rest: Bytes, body: &mut Body) -> bool {
    if !hand_over(sender, &rest).await {
        return false;
    }
    loop {
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                if !hand_over(sender, &data).await {
                    return false;
                }
            }
        }
    }
}

async fn hand_over(sender: &Sender<ImportPiece>, bytes: &[u8]) -> bool {
    for piece in bytes.chunks(PIECE) {
        let (answer, answered) = oneshot::channel();
        // Nobody waits any more once the time is over.
        let taken: Answer<()> = Box::new(move |()| {
            let _ = answer.send(());
        });
        if sender.try_send(ImportPiece::Bytes(piece.to_vec(), taken)).is_err() {
            return false;
        }
        if !matches!(tokio::time::timeout(PATIENCE, answered).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}

/// The envelope on the first line of a request, and what has come of the rest.
async fn read_words(body: &mut Body) -> Result<(Portable, Bytes), String> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let value = serde_json::from_slice(&read[..end]).map_err(|error| error.to_string())?;
            let rest = Bytes::from(read.split_off(end + 1));
            return Ok((portable::read(&value)?, rest));
        }
        if read.len() > WORDS_BYTES_MAX {
            return Err(format!("the envelope is longer than {WORDS_BYTES_MAX} bytes"));
        }
        match body.frame().await {
            Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(_)) | None => return Err("the envelope was cut off".into()),
        }
    }
}

fn status_of(error: &ImportError) -> StatusCode {
    match error {
        ImportError::Full => StatusCode::INSUFFICIENT_STORAGE,
        ImportError::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        ImportError::Malformed(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

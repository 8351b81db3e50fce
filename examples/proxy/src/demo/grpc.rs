use std::pin::Pin;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

/// The code generated from `proto/echo.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::use_self
)]
pub mod pb {
    tonic::include_proto!("demo");
}

use pb::Message;

/// The demo's gRPC service.
#[derive(Debug, Clone)]
pub(super) struct EchoService {
    name: &'static str,
}

impl EchoService {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name }
    }

    fn sign(&self, mut message: Message) -> Message {
        message.backend = self.name.to_owned();
        message
    }
}

type Messages = Pin<Box<dyn Stream<Item = Result<Message, Status>> + Send>>;

#[tonic::async_trait]
impl pb::echo_server::Echo for EchoService {
    async fn say(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(self.sign(request.into_inner())))
    }

    type RepeatStream = Messages;

    async fn repeat(&self, request: Request<Message>) -> Result<Response<Messages>, Status> {
        let message = self.sign(request.into_inner());
        let count = message.count as usize;
        Ok(Response::new(
            stream::repeat(Ok(message)).take(count).boxed(),
        ))
    }

    async fn join(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Message>, Status> {
        let add = |mut all: Message, message: Message| async move {
            if all.text.len() + message.text.len() > MAX_JOINED {
                return Err(Status::resource_exhausted(format!(
                    "more than {MAX_JOINED} bytes of text"
                )));
            }
            all.text.push_str(&message.text);
            all.count += 1;
            Ok(all)
        };
        let all = request
            .into_inner()
            .try_fold(Message::default(), add)
            .await?;
        Ok(Response::new(self.sign(all)))
    }

    type ChatStream = Messages;

    async fn chat(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Messages>, Status> {
        let service = self.clone();
        Ok(Response::new(
            request
                .into_inner()
                .map_ok(move |message| service.sign(message))
                .boxed(),
        ))
    }
}

/// The maximum number of bytes that one `Join` call collects in memory.
const MAX_JOINED: usize = 1024 * 1024;

//! A SPIFFE Workload API for one workload: FetchX509SVID, on a socket of its own.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use rustls_pki_types::CertificateDer;
use tokio::net::UnixListener;
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tokio_stream::{Stream, StreamExt};
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::pki::{Pair, Pki};

/// `X509SVIDRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct Ask {}

/// `X509SVIDResponse`, without what nobody reads.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Answer {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<X509Svid>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct X509Svid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
}

/// What a workload with these identities gets, whose trust domain has these roots.
pub(crate) fn answer(pairs: &[(&str, &Pair)], roots: &[&Pki]) -> Answer {
    let joined = |chain: &[CertificateDer<'_>]| -> Vec<u8> {
        chain.iter().flat_map(|certificate| certificate.as_ref()).copied().collect()
    };
    let roots: Vec<CertificateDer<'_>> = roots.iter().map(|pki| pki.root.clone()).collect();
    let svid = |(id, pair): &(&str, &Pair)| X509Svid {
        spiffe_id: (*id).to_owned(),
        x509_svid: joined(&pair.chain),
        x509_svid_key: pair.key.serialize_der(),
        bundle: joined(&roots),
    };
    Answer { svids: pairs.iter().map(svid).collect() }
}

/// The running API; gone when dropped.
pub(crate) struct Api {
    socket: PathBuf,
    answers: watch::Sender<Answer>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Api {
    /// Serves `first` at `socket`; an answer without identities means that the workload is not registered.
    pub(crate) fn start(socket: &Path, first: Answer) -> Self {
        let (answers, receiver) = watch::channel(first);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = {
            let _context = runtime.enter();
            UnixListener::bind(socket).unwrap()
        };
        let thread = std::thread::spawn(move || {
            let serve = tonic::transport::Server::builder()
                .add_service(WorkloadService(receiver))
                .serve_with_incoming(UnixListenerStream::new(listener));
            runtime.block_on(async {
                tokio::select! {
                    served = serve => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Api { socket: socket.to_owned(), answers, stop: Some(stop), thread: Some(thread) }
    }

    /// Issues something else from now on.
    pub(crate) fn issue(&self, answer: Answer) {
        self.answers.send_replace(answer);
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.socket);
    }
}

#[derive(Clone)]
struct WorkloadService(watch::Receiver<Answer>);

impl NamedService for WorkloadService {
    const NAME: &'static str = "SpiffeWorkloadAPI";
}

impl<B> Service<http::Request<B>> for WorkloadService
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let fetch = Fetch(self.0.clone());
        assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchX509SVID");
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Answer, Ask>::default());
            Ok(grpc.server_streaming(fetch, request).await)
        })
    }
}

struct Fetch(watch::Receiver<Answer>);

impl ServerStreamingService<Ask> for Fetch {
    type Response = Answer;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Answer, Status>> + Send>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        let answers = self.0.clone();
        Box::pin(async move {
            // The specification's guard against requests that were forged in a browser.
            if request.metadata().get("workload.spiffe.io").is_none_or(|value| value != "true") {
                return Err(Status::invalid_argument("security header missing from request"));
            }
            if answers.borrow().svids.is_empty() {
                return Err(Status::permission_denied("no identity issued"));
            }
            let stream: Self::ResponseStream = Box::pin(WatchStream::new(answers).map(Ok));
            Ok(Response::new(stream))
        })
    }
}

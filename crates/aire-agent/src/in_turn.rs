//! Tasks whose beginnings keep their order.

use std::future::poll_fn;
use std::task::Poll;

/// Runs a task here up to where it first waits, and the rest of it on its own. What tasks do before they wait so happens in
/// the order in which they were begun.
pub(crate) async fn begin(task: impl Future<Output = ()> + Send + 'static) {
    let mut task = Box::pin(task);
    let waits = poll_fn(|cx| Poll::Ready(task.as_mut().poll(cx).is_pending())).await;
    if waits {
        tokio::spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn beginnings_are_in_order_and_every_task_ends() {
        let (begun, (ended, mut all)) = (Arc::new(Mutex::new(Vec::new())), tokio::sync::mpsc::channel(1));
        for number in 0..100 {
            let (begun, ended) = (Arc::clone(&begun), ended.clone());
            begin(async move {
                begun.lock().unwrap().push(number);
                tokio::task::yield_now().await;
                ended.send(number).await.unwrap();
            })
            .await;
        }
        assert!(begun.lock().unwrap().iter().copied().eq(0..100));
        for _ in 0..100 {
            all.recv().await.unwrap();
        }
    }
}

//! What runs at once for a job, and that a panic in it is seen.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Raised when something panicked.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    is_raised: AtomicBool,
    wake: Notify,
}

/// Tasks that run at once. They may hold this too, so it is [`Group`] that ends them.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    set: Arc<Mutex<JoinSet<()>>>,
    alarm: Arc<Alarm>,
}

impl Alarm {
    pub(crate) fn raise(&self) {
        self.is_raised.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::SeqCst)
    }

    /// Waits for it. One may wait.
    pub(crate) async fn raised(&self) {
        while !self.is_raised() {
            self.wake.notified().await;
        }
    }
}

impl Tasks {
    pub(crate) fn new(alarm: Arc<Alarm>) -> Self {
        Self { set: Arc::default(), alarm }
    }

    /// None, with the same alarm.
    pub(crate) fn apart(&self) -> Self {
        Self::new(Arc::clone(&self.alarm))
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = Watched { task: Box::pin(task), alarm: Arc::clone(&self.alarm) };
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that ended hold memory until they are asked.
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }
}

/// Ends its tasks when it is dropped.
#[derive(Debug)]
pub(crate) struct Group(pub(crate) Tasks);

impl Drop for Group {
    fn drop(&mut self) {
        self.0.set.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

struct Watched {
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
    alarm: Arc<Alarm>,
}

/// Raises the alarm when it is dropped by a panic.
struct Tripwire<'a>(&'a Alarm);

impl Drop for Tripwire<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.raise();
        }
    }
}

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = Arc::clone(&self.alarm);
        let _tripwire = Tripwire(&alarm);
        self.task.as_mut().poll(cx)
    }
}

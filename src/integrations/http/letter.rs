//! A request's body that notes whether it was handed to a connection, and that can be taken back before.
//!
//! The HTTP/1 client writes a request in one go with the first piece of its body, so a body that was never asked for
//! means that nothing of the request left this process. Handing over and taking back exclude each other, whichever
//! thread comes first.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

const WAITING: u8 = 0;
const PASSED: u8 = 1;
const REVOKED: u8 = 2;

/// What a body passes once, or never.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<AtomicU8>);

impl Gate {
    /// Lets the body through; false when it was taken back.
    pub(super) fn pass(&self) -> bool {
        self.settle(PASSED)
    }

    /// Takes the body back for good; false when it has passed.
    pub(super) fn revoke(&self) -> bool {
        self.settle(REVOKED)
    }

    fn settle(&self, state: u8) -> bool {
        match self.0.compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(now) => now == state,
        }
    }
}

/// The body of one request.
#[derive(Debug)]
pub(super) struct Letter {
    bytes: Option<Bytes>,
    gate: Gate,
}

/// It was taken back.
#[derive(Debug, thiserror::Error)]
#[error("the request was taken back before it was sent")]
pub(super) struct Revoked;

impl Letter {
    pub(super) fn new(bytes: Bytes, gate: Gate) -> Self {
        Self { bytes: Some(bytes), gate }
    }
}

impl Body for Letter {
    type Data = Bytes;
    type Error = Revoked;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Revoked>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(if self.gate.pass() { Ok(Frame::data(bytes)) } else { Err(Revoked) }))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn poll(letter: &mut Letter) -> Poll<Option<Result<Frame<Bytes>, Revoked>>> {
        Pin::new(letter).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_was_taken_back_is_not_handed_over() {
        let gate = Gate::default();
        let mut letter = Letter::new(Bytes::from_static(b"x"), gate.clone());
        assert!(gate.revoke() && gate.revoke());
        assert!(matches!(poll(&mut letter), Poll::Ready(Some(Err(Revoked)))));
    }

    #[test]
    fn what_was_handed_over_cannot_be_taken_back() {
        let gate = Gate::default();
        let mut letter = Letter::new(Bytes::from_static(b"x"), gate.clone());
        assert!(matches!(poll(&mut letter), Poll::Ready(Some(Ok(_)))));
        assert!(!gate.revoke());
        assert!(letter.is_end_stream() && matches!(poll(&mut letter), Poll::Ready(None)));
    }
}

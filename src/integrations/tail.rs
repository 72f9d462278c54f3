//! The end of what a program prints: however much it is, the program is never kept waiting and the memory is bounded.
//!
//! The end is kept and not the beginning, since the last line decides. A line of which only a part is left is not given
//! out.

use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The end of an output stream.
pub struct Tail {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_cut: bool,
}

impl Tail {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max, is_cut: false }
    }

    /// Reads to the end, whatever the amount, so that the writer never waits for us.
    pub(super) async fn fill(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut chunk = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = stream.read(&mut chunk).await {
            self.bytes.extend_from_slice(&chunk[..length]);
            // Twice the bound before cutting, so that a flood costs one move a bound and not one a chunk.
            if self.bytes.len() > 2 * self.bytes_max {
                self.cut();
            }
        }
        self.cut();
    }

    fn cut(&mut self) {
        let excess = self.bytes.len().saturating_sub(self.bytes_max);
        self.is_cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    /// What is kept, at most the bound.
    pub fn text(&self) -> String {
        let kept = &self.bytes[self.bytes.len().saturating_sub(self.bytes_max)..];
        String::from_utf8_lossy(kept).into_owned()
    }

    /// The last line that is not blank; `None` also where its beginning was lost, since half a line proves nothing and
    /// half a secret is not recognised.
    pub fn last_line(&self) -> Option<String> {
        let text = self.text();
        let text = text.trim_end();
        let line = text.rfind('\n').map_or(text, |end| &text[end + 1..]).trim();
        let is_whole = text.contains('\n') || !(self.is_cut || self.bytes.len() > self.bytes_max);
        (is_whole && !line.is_empty()).then(|| line.to_owned())
    }
}

#[cfg(test)]
impl From<&str> for Tail {
    fn from(text: &str) -> Self {
        Self { bytes: text.into(), bytes_max: text.len(), is_cut: false }
    }
}

impl fmt::Debug for Tail {
    /// Its size only: what a program prints is nobody's to log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("bytes", &self.bytes.len()).field("is_cut", &self.is_cut).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tail(input: &[u8], bytes_max: usize) -> Tail {
        let mut tail = Tail::new(bytes_max);
        tail.fill(Some(input)).await;
        tail
    }

    #[tokio::test]
    async fn the_end_of_a_flood_is_kept() {
        let flood = "x".repeat(100_000) + "\nlast\n";
        let tail = tail(flood.as_bytes(), 1000).await;
        assert_eq!(tail.text().len(), 1000);
        assert_eq!(tail.last_line().as_deref(), Some("last"));
    }

    #[tokio::test]
    async fn half_a_line_is_no_line() {
        assert_eq!(tail(&[b'x'; 1001], 1000).await.last_line(), None);
        assert_eq!(tail(b"", 1000).await.last_line(), None);
        assert_eq!(tail(b"one", 1000).await.last_line().as_deref(), Some("one"));
        assert_eq!(tail(b"one\r\n\n \n", 1000).await.last_line().as_deref(), Some("one"));
    }
}

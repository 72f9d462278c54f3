//! The fakes of suppliers as a process of their own, asked over HTTP as a curious person would.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::database::PATIENCE;
use crate::process::ROWCALL;
use crate::web::{client, json, told};

/// A running `rowcall sandbox supplier`; it ends with the test.
pub(crate) struct Sandbox {
    child: Child,
    pub(crate) address: String,
    pub(crate) dir: TempDir,
}

impl Sandbox {
    /// With more arguments than it needs.
    pub(crate) fn start(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(ROWCALL);
        command.args(["sandbox", "supplier", "--listen", "127.0.0.1:0", "--state"]).arg(dir.path()).args(more);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim().to_owned(), dir }
    }

    /// Asks for something to happen; the status of the answer.
    pub(crate) async fn tell(&self, what: &str, body: Value) -> u16 {
        let request = json(client().post(format!("{}/_control/{what}", self.address)), &body);
        request.send().await.unwrap().status().as_u16()
    }

    /// What happened.
    pub(crate) async fn see(&self, what: &str) -> Value {
        told(client().get(format!("{}/_control/{what}", self.address))).await.1
    }

    /// Waits until so much of this is there: `requests`, `orders`, `book`.
    pub(crate) async fn until(&self, what: &str, number: usize) {
        let began = Instant::now();
        while self.see(what).await.as_array().unwrap().len() < number {
            assert!(began.elapsed() < PATIENCE, "waited for {number} {what}");
            // It tells nobody of itself: look often.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many requests came for this: `purchase` or `look_up`.
    pub(crate) async fn requests(&self, purpose: &str) -> usize {
        self.see("requests").await.as_array().unwrap().iter().filter(|request| request["for"] == purpose).count()
    }

    /// What really happened to numbers, oldest first.
    pub(crate) async fn book(&self) -> Vec<String> {
        let book = self.see("book").await;
        book.as_array().unwrap().iter().map(|line| line["what"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

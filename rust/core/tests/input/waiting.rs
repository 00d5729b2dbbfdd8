//! Pipes: read as they come, and given up on when asked to.
#![cfg(unix)]

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

fn pipe(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.path(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let folder = Folder::new();
    let path = pipe(&folder, "pipe");
    let text = "some words and then more of them\n".repeat(10_000);
    let writer = {
        let (path, text) = (path.clone(), text.clone());
        thread::spawn(move || fs::write(path, text).unwrap())
    };
    let control = Control::default();
    let options = options(Utf8Errors::Strict);
    let sources = [Source::Path(path)];
    let mut reader = Reader::open(&sources, &options, &last_cut, &control).unwrap().with_block_bytes(1000);
    let mut read = String::new();
    let mut ended = false;
    while let Some(block) = reader.next_block().unwrap() {
        assert!(!ended);
        let documents = block.decode(&options, &control).unwrap();
        documents.iter().for_each(|piece| read.push_str(piece));
        ended = documents.ends_file();
    }
    writer.join().unwrap();
    assert!(ended && read == text);
    assert_eq!(control.progress().bytes_done, text.len() as u64);
}

#[test]
fn waiting_for_a_pipe_that_no_one_writes_to_can_be_cancelled() {
    let folder = Folder::new();
    for name in ["pipe", "pipe.gz", "pipe.zst", "pipe.jsonl"] {
        let path = pipe(&folder, name);
        let (control, cancelled) = (Control::default(), AtomicBool::new(false));
        let sources = [Source::Path(path.clone())];
        let options = options(Utf8Errors::Strict);
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                control.cancel();
                cancelled.store(true, Ordering::SeqCst);
            });
            let mut reader = Reader::open(&sources, &options, &last_cut, &control).unwrap();
            let error = reader.next_block().err().unwrap();
            assert!(matches!(error, Error::Cancelled), "{error}");
            assert!(cancelled.load(Ordering::SeqCst));
        });
        assert!(start.elapsed() < Duration::from_secs(1));
        // Lets the waiting thread end.
        drop(fs::OpenOptions::new().write(true).open(path));
    }
}

#[test]
fn a_cancelled_reader_gives_no_block() {
    let folder = Folder::new();
    let control = Control::default();
    let sources = [Source::Path(folder.write("a.txt", "a"))];
    let options = options(Utf8Errors::Strict);
    let mut reader = Reader::open(&sources, &options, &last_cut, &control).unwrap();
    control.cancel();
    assert!(matches!(reader.next_block().err(), Some(Error::Cancelled)));
}

#[test]
fn a_pipe_cannot_be_parquet() {
    let folder = Folder::new();
    let path = pipe(&folder, "pipe.parquet");
    assert_eq!(
        message(&path, &InputOptions::default()),
        ": Parquet is read from regular files only, since its index stands at the end"
    );
}

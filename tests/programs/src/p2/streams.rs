//! Helpers for the streams of a connection, which follow the rules of `wasi:io`.

use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use super::assert_closed;

/// Waits for the next `length` bytes.
#[track_caller]
pub fn read_exact(input: &InputStream, length: usize) -> Vec<u8> {
    let pollable = input.subscribe();
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let wanted = length - bytes.len();
        let more = input.read(wanted as u64).expect("more bytes");
        assert!(more.len() <= wanted, "{} bytes instead of at most {wanted}", more.len());
        if more.is_empty() {
            pollable.block();
        }
        bytes.extend(more);
    }
    bytes
}

/// Reads all bytes until the stream is closed.
#[track_caller]
pub fn read_to_end(input: &InputStream) -> Vec<u8> {
    let pollable = input.subscribe();
    let mut bytes = Vec::new();
    loop {
        match input.read(1 << 16) {
            Ok(more) if more.is_empty() => pollable.block(),
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => return bytes,
            Err(failure) => panic!("after {} bytes: {failure:?}", bytes.len()),
        }
    }
}

/// Reads the bytes that have arrived, without waiting.
#[track_caller]
pub fn drain(input: &InputStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = input.read(1 << 16).expect("an open stream");
        if more.is_empty() {
            return bytes;
        }
        bytes.extend(more);
    }
}

/// Writes all of `bytes`, each time as many as are permitted.
#[track_caller]
pub fn write_all(output: &OutputStream, mut bytes: &[u8]) {
    let pollable = output.subscribe();
    while !bytes.is_empty() {
        let permit = usize::try_from(output.check_write().expect("an open stream")).expect("a permit");
        if permit == 0 {
            pollable.block();
            continue;
        }
        let (now, later) = bytes.split_at(permit.min(bytes.len()));
        output.write(now).expect("what was permitted");
        bytes = later;
    }
}

/// Writes the bytes that `next` makes for each permit until there is no permit; returns the number of bytes.
#[track_caller]
pub fn fill(output: &OutputStream, mut next: impl FnMut(usize) -> Vec<u8>) -> usize {
    let pollable = output.subscribe();
    let mut written = 0;
    loop {
        let permit = usize::try_from(output.check_write().expect("an open stream")).expect("a permit");
        if permit == 0 {
            // Bytes that were sent meanwhile may have made room: if the pollable is ready, there is room.
            if pollable.ready() {
                assert_ne!(output.check_write().expect("an open stream"), 0, "ready without room");
                continue;
            }
            return written;
        }
        let bytes = next(permit);
        output.write(&bytes).expect("what was permitted");
        written += bytes.len();
        assert!(written < 64 << 20, "a buffer without an end");
    }
}

/// Waits until the stream is closed, and asserts that no byte was read.
#[track_caller]
pub fn wait_closed(input: &InputStream) {
    let rest = read_to_end(input);
    assert_eq!(rest, b"", "bytes before the end");
    assert_closed(input.read(1));
    assert!(input.subscribe().ready(), "a closed stream is ready");
}

//! A 4 KiB body of base64 lines: finding its end, against the fastest search for five bytes.
#![allow(missing_docs, reason = "the macros of the harness write undocumented items")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scan::BodyScanner;
use std::hint::black_box;

fn body() -> Vec<u8> {
    let mut body = [&[b'Q'; 76][..], b"\r\n"].concat().repeat(52);
    body.extend_from_slice(b".\r\n");
    body
}

fn terminator(criterion: &mut Criterion) {
    let body = body();
    let mut group = criterion.benchmark_group("terminator");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("BodyScanner (end, strays, stuffed lines)", |bencher| {
        bencher.iter(|| BodyScanner::new().scan(black_box(&body)));
    });
    let finder = memchr::memmem::Finder::new(b"\r\n.\r\n");
    group.bench_function("memmem (end only)", |bencher| {
        bencher.iter(|| finder.find(black_box(&body)));
    });
    group.finish();
}

criterion_group!(benches, terminator);
criterion_main!(benches);

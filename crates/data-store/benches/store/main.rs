//! What `flagops-store` costs over HTTP: reads of an identity, durable writes, a million identities
//! and ten thousand streams of changes.
//!
//! Beside it in the same run: a bare axum handler with the same body, the `fsync` of the same disk,
//! and etcd over its JSON gateway. The load comes from `wrk`. etcd and PostgreSQL are left out
//! where they are not installed. Arguments choose among `reads`, `writes`, `size` and `streams`.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod load;
mod peer;
mod reads;
mod size;
mod streams;
mod writes;

use std::env;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    if let [bare, port] = arguments.as_slice()
        && bare == "--bare"
    {
        return reads::bare(port.parse().unwrap());
    }
    let sections: [(&str, fn()); 4] = [
        ("reads", reads::run),
        ("writes", writes::run),
        ("size", size::run),
        ("streams", streams::run),
    ];
    for (name, run) in sections {
        if arguments.is_empty() || arguments.iter().any(|it| it == name) {
            println!("\n{name}");
            run();
        }
    }
}

//! Serves pages with invented data, to be looked at: `cargo run -p lunabot-www --example gallery -- PORT small|busy|long|many|none`.

#[path = "../tests/support/mod.rs"]
mod support;

use lunabot_data::new::LogText;
use lunabot_data::{Answer, Data};
use lunabot_www::{Endpoint, listen, serve};
use std::sync::Arc;
use support::{TestClock, World, seed};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let port = arguments.get(1).and_then(|port| port.parse().ok()).unwrap_or(8099);
    let now = jiff::Timestamp::now().as_second();
    let kind = arguments.get(2).map_or("small", String::as_str);
    let world = World::at(now - 13_900).await;
    match kind {
        "small" | "busy" => drop(seed::small(&world.data, &world.clock, 2_000).await),
        "long" => drop(seed::small(&world.data, &world.clock, 1_000_000).await),
        "many" => drop(seed::many(&world.data, &world.clock, 200).await),
        _ => {}
    }
    #[expect(clippy::print_stdout, reason = "it tells its user where to look")]
    {
        println!("http://127.0.0.1:{port}/ shows {kind}");
    }
    let clock = world.clock.clone();
    let past = clock.get();
    tokio::spawn(async move {
        for second in 0.. {
            clock.set(past.max(now) + second);
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    });
    if kind == "busy" {
        tokio::spawn(work(world.data.clone(), world.clock.clone()));
    }
    let at = Endpoint::Tcp { host: "127.0.0.1".into(), port };
    let listener = listen(&at, std::path::Path::new(".")).await.expect("a free port");
    serve(listener, world.router.clone(), CancellationToken::new()).await;
}

/// Something happens all the time: a running step prints, changes come in, requests queue up.
async fn work(data: Data, clock: Arc<TestClock>) {
    let seed = seed::Seed { data: &data, clock: &clock, lines: 0 };
    let log = match data.get("builders/1/builds/7/steps/1/logs/stdio", "").await {
        Ok(Answer::One { item, .. }) => item["logid"].as_i64().unwrap_or_default(),
        other => panic!("the running build has a log: {other:?}"),
    };
    for n in 0.. {
        let text: String = (0..5).map(|i| format!("oline {} of the running step\n", 5 * n + i)).collect();
        data.append_log(log, LogText(text)).await.expect("a running log").detach();
        if n % 10 == 0 {
            let change = seed.change(n).await;
            seed.request(4, &change, "a new change").await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
}

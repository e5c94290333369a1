//! Serves pages with invented data, to be looked at: `cargo run -p lunabot-www --example gallery -- PORT small|many|none`.

#[path = "../tests/support/mod.rs"]
mod support;

use lunabot_www::{Endpoint, listen, serve};
use support::{World, seed};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let port = arguments.get(1).and_then(|port| port.parse().ok()).unwrap_or(8099);
    let now = jiff::Timestamp::now().as_second();
    let kind = arguments.get(2).map_or("small", String::as_str);
    let world = World::at(now - 13_900).await;
    match kind {
        "small" => drop(seed::small(&world.data, &world.clock, 2_000).await),
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
    let at = Endpoint::Tcp { host: "127.0.0.1".into(), port };
    let listener = listen(&at).await.expect("a free port");
    serve(listener, world.router.clone(), CancellationToken::new()).await;
}

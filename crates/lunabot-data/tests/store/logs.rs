//! The contents of logs.

use crate::support::*;
use futures::StreamExt;
use lunabot_data::new::LogText;
use lunabot_data::{Answer, Data, DataError};
use lunabot_model::resources::{Log, LogType};

async fn log(data: &Data, log_type: LogType) -> Log {
    let (builder, worker) = configured(data).await;
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let (build, _) = data.add_build(new_build(builder, requests[&builder], worker)).await.unwrap();
    let (step, _) = data.add_step(build.buildid, "shell", "").await.unwrap();
    data.add_log(step.stepid, "stdio", log_type).await.unwrap().0
}

async fn contents(data: &Data, query: &str) -> Result<String, DataError> {
    match data.get("steps/1/logs/stdio/contents", query).await? {
        Answer::One { plural: "logchunks", item } => Ok(item["content"].as_str().unwrap().to_owned()),
        other => panic!("{other:?}"),
    }
}

async fn raw(data: &Data, path: &str) -> (Option<String>, String) {
    let raw = data.raw(path).await.unwrap();
    let pieces: Vec<_> = raw.body.collect().await;
    let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
    (raw.filename, String::from_utf8(bytes).unwrap())
}

pub async fn rows_13_013_13_021_lines_are_read_by_range(place: Place) {
    let data = place.open().await;
    let log = log(&data, LogType::Stdio).await;
    assert_eq!(contents_after_flush(&data, "").await.unwrap(), "");
    for lines in ["h$ make\n", "oone\nofünf\n", "e\n"] {
        data.append_log(log.logid, LogText(lines.into())).await.unwrap().await.unwrap();
    }
    assert_eq!(contents(&data, "").await.unwrap(), "h$ make\noone\nofünf\ne\n");
    assert_eq!(contents(&data, "offset=1&limit=2").await.unwrap(), "oone\nofünf\n");
    assert_eq!(contents(&data, "offset=3&limit=99").await.unwrap(), "e\n");
    assert!(matches!(contents(&data, "offset=4").await, Err(DataError::NotFound(_))), "09.034");
    assert_eq!(data.log_lines(log.logid, 2, 2).await.unwrap(), "ofünf\n");
    let head = "Builder: b\nBuild number: 1\nWorker name: w\n";
    assert_eq!(
        raw(&data, "builders/b/builds/1/steps/0/logs/stdio/raw").await,
        (Some("b_build_1_step_shell_log_stdio".into()), format!("{head}$ make\none\nfünf\n\n")),
        "09.035"
    );
    data.finish_log(log.logid).await.unwrap().await.unwrap();
    data.append_log(log.logid, LogText("olate\n".into())).await.unwrap().detach();
    assert_eq!(contents_after_flush(&data, "offset=3").await.unwrap(), "e\n", "13.021");
}

async fn contents_after_flush(data: &Data, query: &str) -> Result<String, DataError> {
    data.flush().await.unwrap();
    contents(data, query).await
}

pub async fn rows_13_009_13_010_13_013_many_small_and_some_large_appends_come_back_whole(place: Place) {
    let data = place.open().await;
    let log = log(&data, LogType::Text).await;
    let mut whole = String::new();
    for n in 0..3000 {
        let line = match n % 500 {
            0 => format!("{n} {}\n", "long".repeat(60_000)),
            1 => (0..2000).map(|i| format!("{n} {i}\n")).collect(),
            _ => format!("{n}\n"),
        };
        whole.push_str(&line);
        data.append_log(log.logid, LogText(line)).await.unwrap().detach();
    }
    data.finish_log(log.logid).await.unwrap().await.unwrap();
    let lines = whole.lines().count() as i64;
    assert_eq!(one(&data, "logs/1").await["num_lines"], lines);
    assert!(raw(&data, "logs/1/raw_inline").await == (None, whole.clone()));
    for (first, count) in [(0, 1), (1, 1), (1999, 4), (lines - 1, 5), (7000, 3)] {
        let wanted: String = whole.split_inclusive('\n').skip(first as usize).take(count).collect();
        let found = contents(&data, &format!("offset={first}&limit={count}")).await.unwrap();
        assert!(found == wanted, "{first} {count}: {found:.60} instead of {wanted:.60}");
    }
}

/// A log that grew by many transactions is put together when it is complete, and reads the same.
pub async fn row_13_012_a_complete_log_is_put_together(place: Place) {
    let data = place.open().await;
    let log = log(&data, LogType::Text).await;
    let mut whole = String::new();
    for n in 0..40 {
        let line = format!("line {n} {}\n", "x".repeat(n * 100));
        whole.push_str(&line);
        data.append_log(log.logid, LogText(line)).await.unwrap().await.unwrap();
    }
    let store = open_store(&place).await;
    assert_eq!(store.chunks(log.logid, 0, 99, 99).await.unwrap().len(), 40);
    data.finish_log(log.logid).await.unwrap().await.unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while store.chunks(log.logid, 0, 99, 99).await.unwrap().len() > 1 {
        assert!(tokio::time::Instant::now() < deadline, "13.012");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(contents(&data, "").await.unwrap() == whole);
    assert_eq!(contents(&data, "offset=2&limit=1").await.unwrap(), format!("line 2 {}\n", "x".repeat(200)));
}

//! Builds from request to result (reference 05, 09.097).

use crate::support::{Master, Setup, builder, step};
use serde_json::json;

#[tokio::test]
async fn row_05_007_a_trivial_build_succeeds_with_its_steps_log_and_properties() {
    let mut master =
        Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], vec![step("print hello")]))).await;
    master.worker("w").await;
    let request = master.request("b").await;
    let build = master.finished(request).await;
    assert_eq!(
        (&build["results"], &build["state_string"], &build["number"]),
        (&json!(0), &json!("build successful"), &json!(1))
    );
    let steps = master.steps(&build).await;
    let expected = [("worker_preparation", 0, "worker w ready"), ("shell", 0, "'print hello'")];
    assert_eq!(steps, expected.map(|(name, results, text)| (name.into(), json!(results), text.into())));
    let log = master.log(&build, "shell", "stdio").await.unwrap();
    assert_eq!(log, "ohello\nhprogram finished with exit code 0\n");
    let row = master.one(&format!("buildrequests/{request}")).await;
    assert_eq!((&row["complete"], &row["results"]), (&json!(true), &json!(0)));
    for (name, value, source) in [
        ("buildername", json!("b"), "Builder"),
        ("workername", json!("w"), "Worker"),
        ("buildnumber", json!(1), "Build"),
        ("branch", json!("main"), "Build"),
        ("project", json!("proj"), "Build"),
        ("basedir", json!("/w"), "Worker"),
        ("builddir", json!("/w/b"), "Worker"),
    ] {
        assert_eq!(master.property(&build, name).await, Some((value, source.to_string())), "{name}");
    }
    master.stop().await;
}

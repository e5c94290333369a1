//! A small HTTP server that answers by path from what a test puts there, and notes what it is asked.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::Json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Shelf {
    answers: Mutex<BTreeMap<String, (u16, String)>>,
    asked: Mutex<Vec<(String, String)>>,
}

pub struct Server {
    pub url: String,
    shelf: Arc<Shelf>,
}

impl Server {
    pub async fn start() -> Server {
        let shelf = Arc::new(Shelf::default());
        let app = Router::new().fallback(answer).with_state(shelf.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Server { url, shelf }
    }

    /// Answers `path` (with its query, or else without) by JSON from now on.
    pub fn put(&self, path: &str, answer: &Json) {
        self.put_text(path, 200, &answer.to_string());
    }

    pub fn put_text(&self, path: &str, status: u16, answer: &str) {
        self.shelf.answers.lock().unwrap().insert(path.into(), (status, answer.into()));
    }

    /// Path with query, and `Authorization`, of what was asked since the last time.
    pub fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.shelf.asked.lock().unwrap())
    }

    /// Only the paths, with their queries.
    pub fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|(path, _)| path).collect()
    }
}

async fn answer(State(shelf): State<Arc<Shelf>>, request: Request) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(|v| v.to_str().unwrap().to_string()).unwrap_or_default();
    let whole = request.uri().to_string();
    shelf.asked.lock().unwrap().push((whole.clone(), authorization));
    let answers = shelf.answers.lock().unwrap();
    match answers.get(&whole).or_else(|| answers.get(request.uri().path())) {
        Some((status, text)) => (StatusCode::from_u16(*status).unwrap(), text.clone()).into_response(),
        None => (StatusCode::NOT_FOUND, r#"{"message": "Not Found"}"#).into_response(),
    }
}

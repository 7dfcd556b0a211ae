//! Real Chromium, headless, driven through the WebDriver protocol: with scripts off, but where a check of its own runs one.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub struct Browser {
    driver: Child,
    http: reqwest::Client,
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Browser {
    /// A browser that runs no scripts.
    pub async fn start() -> Self {
        // 2 is "block".
        let blocked = json!({ "profile.managed_default_content_settings.javascript": 2, "profile.default_content_setting_values.javascript": 2 });
        Self::with(&blocked).await
    }

    /// A browser in which the driver can run scripts. The pages bring none.
    pub async fn with_scripts() -> Self {
        Self::with(&json!({})).await
    }

    async fn with(prefs: &Value) -> Self {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .args([format!("--port={port}"), "--allowed-ips=127.0.0.1".into()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let driver = driver.unwrap_or_else(|e| {
            panic!("the review page is tried in real Chromium, and chromedriver did not start ({e}): apt-get install chromium chromium-driver")
        });
        let mut browser =
            Self { driver, http: reqwest::Client::new(), session: format!("http://127.0.0.1:{port}") };
        browser.wait_until_ready().await;
        let options = json!({
            // Containers give no sandbox and little shared memory; the pages are our own.
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,900"],
            "prefs": prefs,
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = browser.post("/session", wanted).await;
        browser.session = format!("{}/session/{}", browser.session, session["sessionId"].as_str().unwrap());
        browser
    }

    async fn wait_until_ready(&self) {
        for _ in 0..100 {
            if let Ok(answer) = self.http.get(format!("{}/status", self.session)).send().await
                && answer.json::<Value>().await.is_ok_and(|v| v["value"]["ready"] == true)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("chromedriver was not ready after 10 seconds");
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.session)).json(&body).send().await.unwrap();
        self.value(path, answer).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.session)).send().await.unwrap();
        self.value(path, answer).await
    }

    async fn value(&self, path: &str, answer: reqwest::Response) -> Value {
        let ok = answer.status().is_success();
        let mut body: Value = answer.json().await.unwrap();
        assert!(ok, "WebDriver refused {path}: {}", body["value"]["message"]);
        body["value"].take()
    }

    /// Waits until the element's text is `wanted`: a click returns before the page that follows is there.
    pub async fn wait_for(&self, css: &str, wanted: &str) {
        let mut seen = String::new();
        for _ in 0..100 {
            let find = self
                .http
                .post(format!("{}/element", self.session))
                .json(&json!({ "using": "css selector", "value": css }));
            let found: Value = find.send().await.unwrap().json().await.unwrap();
            if let Some(element) = found["value"][ELEMENT].as_str() {
                let text =
                    self.http.get(format!("{}/element/{element}/text", self.session)).send().await.unwrap();
                seen = text.json::<Value>().await.unwrap()["value"].as_str().unwrap_or_default().to_owned();
                if seen == wanted {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{css} should say {wanted:?} and says {seen:?} at {}", self.url().await);
    }

    pub async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    pub async fn url(&self) -> String {
        self.get("/url").await.as_str().unwrap().to_owned()
    }

    pub async fn title(&self) -> String {
        self.get("/title").await.as_str().unwrap().to_owned()
    }

    pub async fn source(&self) -> String {
        self.get("/source").await.as_str().unwrap().to_owned()
    }

    pub async fn find(&self, css: &str) -> String {
        let found = self.post("/element", json!({ "using": "css selector", "value": css })).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.post(&format!("/element/{element}/value"), json!({ "text": text })).await;
    }

    pub async fn text(&self, css: &str) -> String {
        let element = self.find(css).await;
        self.get(&format!("/element/{element}/text")).await.as_str().unwrap().to_owned()
    }

    pub async fn cookies(&self) -> Vec<Value> {
        self.get("/cookie").await.as_array().unwrap().clone()
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await
    }

    /// Shows the whole page at this width, in this scheme (`light` or `dark`), until the next look. Whether it would scroll
    /// sideways.
    pub async fn look(&self, width: u32, mobile: bool, scheme: &str) -> bool {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
        let metrics = |height: u32| json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics(900)).await;
        let layout = self.devtools("Page.getLayoutMetrics", json!({})).await;
        let size = &layout["cssContentSize"];
        let (w, h) = (size["width"].as_f64().unwrap(), size["height"].as_f64().unwrap());
        self.devtools("Emulation.setDeviceMetricsOverride", metrics(h.ceil() as u32)).await;
        w > f64::from(width)
    }

    /// Ends a look.
    pub async fn look_away(&self) {
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }

    /// What is shown now, as PNG.
    pub async fn shot(&self) -> Vec<u8> {
        let shot = self.devtools("Page.captureScreenshot", json!({ "format": "png" })).await;
        STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    /// The whole page as PNG, at this width, in this scheme. Also whether it scrolls sideways.
    pub async fn picture(&self, width: u32, mobile: bool, scheme: &str) -> (Vec<u8>, bool) {
        let sideways = self.look(width, mobile, scheme).await;
        let shot = self.shot().await;
        self.look_away().await;
        (shot, sideways)
    }

    /// Presses keys where the focus is.
    pub async fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|k| {
                let key = k.to_string();
                [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
            })
            .collect();
        self.post("/actions", json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }))
            .await;
    }

    /// The id of the element that has the focus, or its words.
    pub async fn focused(&self) -> String {
        let element = self.get("/element/active").await[ELEMENT].as_str().unwrap().to_owned();
        let id = self.get(&format!("/element/{element}/attribute/id")).await;
        match id.as_str().filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => self.get(&format!("/element/{element}/text")).await.as_str().unwrap().to_owned(),
        }
    }

    /// A property of an element's style, as computed.
    pub async fn style(&self, css: &str, property: &str) -> String {
        let element = self.find(css).await;
        self.get(&format!("/element/{element}/css/{property}")).await.as_str().unwrap().to_owned()
    }

    pub async fn quit(self) {
        drop(self.http.delete(&self.session).send().await);
    }
}

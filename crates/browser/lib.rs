//! A browser that tests drive by keyboard.
//!
//! With `FLAGOPS_SCREENSHOTS=FOLDER` in the environment, pictures of the pages are written there.

use std::{env, fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use testing::Chromedriver;
pub use thirtyfour::Key;
use thirtyfour::{
    By, ChromiumLikeCapabilities as _, Cookie, DesiredCapabilities, TypingData, WebDriver,
};
use tokio::time::{Instant, sleep};

/// For how long a test waits for something.
const LONG: Duration = Duration::from_secs(30);

/// How many times Tab is pressed to get somewhere.
const TABS: usize = 120;

/// A browser.
pub struct Browser {
    pub driver: WebDriver,
    url: String,
    _chromedriver: Chromedriver,
}

impl Browser {
    /// Starts one for the pages of a server, if it is installed. The cookie is that of somebody
    /// who has signed in.
    pub async fn start(url: &str, cookie: Option<&str>) -> Option<Self> {
        let Some(chromedriver) = Chromedriver::start() else {
            testing::skip("Chromium");
            return None;
        };
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(&chromedriver.browser()).unwrap();
        for argument in chromedriver.arguments() {
            capabilities.add_arg(&argument).unwrap();
        }
        // The driver's client needs cryptography, which a test may have set up before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let driver = WebDriver::new(chromedriver.url(), capabilities).await.unwrap();
        let browser = Self { driver, url: url.to_owned(), _chromedriver: chromedriver };
        if let Some(cookie) = cookie {
            browser.open("/ui").await;
            browser.wait_for("Sign in with").await;
            let (name, value) = cookie.split_once('=').unwrap();
            browser.driver.add_cookie(Cookie::new(name, value)).await.unwrap();
        }
        Some(browser)
    }

    async fn command(&self, name: &str, params: Value) {
        self.driver.cdp().send_raw(name, params).await.unwrap();
    }

    pub async fn open(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.url)).await.unwrap();
    }

    pub async fn script(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Presses keys where the focus is.
    pub async fn press(&self, keys: impl Into<TypingData>) {
        self.driver.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Presses Tab until the focus is on an element.
    pub async fn tab_to(&self, selector: &str) {
        for _ in 0..TABS {
            self.press(Key::Tab).await;
            let script = format!("return document.activeElement.matches({})", json!(selector));
            if self.script(&script).await == json!(true) {
                return;
            }
        }
        panic!("Tab does not lead to {selector}: {}", self.text().await);
    }

    pub async fn text(&self) -> String {
        self.driver.find(By::Tag("body")).await.unwrap().text().await.unwrap()
    }

    /// Waits until a script returns true.
    pub async fn wait(&self, condition: &str) {
        let deadline = Instant::now() + LONG;
        while self.script(&format!("return Boolean({condition})")).await != json!(true) {
            assert!(Instant::now() < deadline, "not so: {condition}: {}", self.text().await);
            // The state of a browser can only be polled.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until this string is on the page.
    pub async fn wait_for(&self, text: &str) {
        self.wait(&format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// Writes pictures of a page, wide and narrow, light and dark.
    pub async fn picture(&self, name: &str) {
        let Some(folder) = env::var_os("FLAGOPS_SCREENSHOTS").map(PathBuf::from) else { return };
        fs::create_dir_all(&folder).unwrap();
        for (width, is_phone) in [(1_200, false), (390, true)] {
            let height = if is_phone { 1_400 } else { 900 };
            let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
            self.command("Emulation.setDeviceMetricsOverride", metrics).await;
            // A page that is wider than its window scrolls sideways.
            self.wait(&format!("document.documentElement.scrollWidth <= {width}")).await;
            for colors in ["light", "dark"] {
                let media = json!([{ "name": "prefers-color-scheme", "value": colors }]);
                self.command("Emulation.setEmulatedMedia", json!({ "features": media })).await;
                let file = folder.join(format!("{name}-{width}-{colors}.png"));
                self.driver.screenshot(&file).await.unwrap();
            }
        }
        self.command("Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.command("Emulation.setEmulatedMedia", json!({ "features": [] })).await;
    }

    /// Ends the browser. Nothing on any page was blocked or failed, except for what the
    /// server rejected.
    pub async fn quit(self) {
        let log = self.driver.browser_log().await.unwrap();
        let log = log.iter().map(|it| it.message.clone());
        let log: Vec<_> = log.filter(|it| !it.contains("status of 422")).collect();
        assert!(log.is_empty(), "{log:?}");
        self.driver.quit().await.unwrap();
    }
}

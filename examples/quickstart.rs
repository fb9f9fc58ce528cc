//! smoke
use flagstaff::{FlagdOptions, FlagdProvider};
use open_feature::{EvaluationContext, OpenFeature, provider::FeatureProvider};
#[tokio::main]
async fn main() {
    let provider = FlagdProvider::new(FlagdOptions::builder().build().unwrap());
    let mut events = provider.events();
    OpenFeature::singleton_mut().await.set_provider(provider.clone()).await;
    println!("{:?}", events.next().await);
    let c = EvaluationContext::default();
    for _ in 0..2 {
        println!("{:?}", provider.resolve_bool_value("f", &c).await);
        println!("{:?}", provider.resolve_struct_value("o", &c).await);
        println!("{:?}", provider.resolve_bool_value("d", &c).await);
        println!("{:?}", provider.resolve_string_value("f", &c).await);
        println!("{:?}", provider.resolve_string_value("nope", &c).await);
    }
    println!("{:?}", provider.stats());
    provider.shutdown().await;
    println!("{:?} {:?}", provider.stats(), events.next().await);
    println!("{:?}", provider.resolve_bool_value("f", &c).await);
}

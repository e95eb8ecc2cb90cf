const bundle = JSON.parse(document.getElementById("data").textContent);
const app = bundle.documents.length > 1 ? new Comparison(bundle) : new App(bundle);
if (bundle.follows) {
  app.openSheet("Curves");
  follow(app);
}
requestAnimationFrame(() => setTimeout(() => performance.mark("painted")));

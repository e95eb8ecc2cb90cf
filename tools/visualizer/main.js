const bundle = JSON.parse(document.getElementById("data").textContent);
const app = bundle.documents.length > 1 ? new Comparison(bundle) : new App(bundle);
if (bundle.follows) {
  app.openSheet("Curves");
  follow(app);
}
window.graphdl = app; // for whoever drives the page from a script
requestAnimationFrame(() => setTimeout(() => performance.mark("painted")));

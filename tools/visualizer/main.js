const bundle = JSON.parse(document.getElementById("data").textContent);
const app = bundle.documents.length > 1 ? new Comparison(bundle) : new App(bundle);
requestAnimationFrame(() => setTimeout(() => performance.mark("painted")));

// Further views: schedule, memory, curves, pictures. Filled where the page has the data.
function sheetsOf(app) {
  const { bundle } = app;
  const sheets = [];
  if (bundle.schedule) {
    sheets.push({ name: "Schedule", draw: drawSchedule }, { name: "Memory", draw: drawMemory });
  }
  if (bundle.run) sheets.push({ name: "Curves", draw: drawCurves });
  if (bundle.pictures) sheets.push({ name: "Pictures", draw: drawPictures });
  return sheets;
}

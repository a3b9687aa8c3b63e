// Which rows of a list are selected: by ids, or all that match.

/**
 * `ids`: of the rows that are selected; all rows that are not shown too where `isAll`. `rows()`:
 * the ids of those that are shown, in order. `changed` is called after each change.
 */
export class Selection {
  #last = null;

  constructor(rows, changed, { ids = [], isAll = false } = {}) {
    this.rows = rows;
    this.changed = changed;
    this.ids = new Set(ids);
    this.isAll = isAll;
  }

  get isEmpty() {
    return !this.isAll && !this.ids.size;
  }

  get kept() {
    return { ids: [...this.ids], isAll: this.isAll };
  }

  has(id) {
    return this.isAll || this.ids.has(id);
  }

  /** Whether all rows are selected that are shown. */
  get hasAllShown() {
    const rows = this.rows();
    return rows.length > 0 && rows.every((id) => this.has(id));
  }

  /** Select a row or not; with `isRange`, those between it and the last one that was changed. */
  set(id, isSelected, isRange = false) {
    const rows = this.rows();
    if (this.isAll) this.ids = new Set(rows);
    this.isAll = false;
    const [from, to] = [rows.indexOf(this.#last), rows.indexOf(id)].sort((a, b) => a - b);
    const changed = isRange && from >= 0 ? rows.slice(from, to + 1) : [id];
    for (const one of changed) {
      if (isSelected) this.ids.add(one);
      else this.ids.delete(one);
    }
    this.#last = id;
    this.changed();
  }

  setShown(isSelected) {
    this.isAll = false;
    this.ids = new Set(isSelected ? this.rows() : []);
    this.changed();
  }

  setAll() {
    this.isAll = true;
    this.changed();
  }

  clear() {
    this.setShown(false);
  }
}

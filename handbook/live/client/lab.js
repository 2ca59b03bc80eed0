// A lab as far as this page shows it: its cells in order, its kernel, one thing at a time.

import { ask } from "./api.js";
import { Cell, Hidden } from "./cell.js";
import { Kernel } from "./kernel.js";
import { Output } from "./output.js";

export class Lab {
  #work = Promise.resolve();
  #turn = 0;

  constructor(name, onState) {
    this.name = name;
    this.kernel = new Kernel(name, (state) => onState(this, state));
  }

  // `hosts`: cell id to the elements that show it.
  async load(hosts) {
    const { cells } = await ask("GET", `lab/${this.name}`);
    // Shown twice, a cell runs where the reader asks; its first place stands in the lab's order.
    this.cells = cells.map((cell) => {
      const places = (hosts.get(cell.id) ?? []).map((host) => new Cell(host, this, cell));
      for (const place of places) place.others = places.filter((other) => other !== place);
      return places[0] ?? new Hidden(this, cell);
    });
  }

  run(cell) {
    return this.#queue(cell, async (stopped) => {
      const ran = await this.kernel.ran();
      await this.#prepare(cell, ran, stopped);
    });
  }

  runTo(cell) {
    return this.#queue(cell, async (stopped) => {
      cell.say("커널을 다시 시작합니다");
      await this.kernel.restart();
      await this.#prepare(cell, new Set(), stopped);
    });
  }

  stop() {
    this.#turn += 1;
    return this.kernel.interrupt();
  }

  async restart() {
    this.#turn += 1;
    await this.kernel.restart();
  }

  #queue(cell, work) {
    const turn = this.#turn;
    const stopped = () => turn !== this.#turn;
    cell.say("차례를 기다립니다");
    return (this.#work = this.#work.then(async () => {
      if (stopped()) return cell.say("멈췄습니다");
      try {
        await work(stopped);
      } catch (error) {
        cell.say(`서버에 닿지 못했습니다 (${error.message})`, "bad");
      }
      return null;
    }));
  }

  // The cells before it that this kernel has not run yet, then the cell.
  async #prepare(cell, ran, stopped) {
    const here = this.cells.findIndex(({ id }) => id === cell.id);
    const before = this.cells.slice(0, here).filter(({ id }) => !ran.has(id));
    for (const [index, other] of before.entries()) {
      cell.say(`준비 셀 ${index + 1}/${before.length}`);
      const output = new Output(cell.place);
      if (!(await other.execute(output)) || stopped()) {
        output.finish();
        return cell.say(stopped() ? "멈췄습니다" : `준비 셀 ${other.id}에서 오류가 났습니다`, "bad");
      }
      await this.kernel.noteRan(other.id);
    }
    cell.repeated = ran.has(cell.id);
    if (await cell.execute()) await this.kernel.noteRan(cell.id);
    return null;
  }
}

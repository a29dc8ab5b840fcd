/** The dialog to place an order. */

import { commandUrl, Intent } from "./commands.js";
import { amountOf, announce, h, money, set, write } from "./dom.js";
import { field, openDialog } from "./form.js";

const PRICE = /^(\d{1,8})(?:\.(\d{1,2}))?$/;
const QUANTITY = /^\d{1,7}$/;
const ADDRESS = { recipient: "Recipient", line1: "Address", line2: "Address, second line", city: "City", postal_code: "Postal code", country: "Country" };

/** Opens it; `placed` gets the new order's id. */
export function placeOrder(placed) {
  if (!commandUrl) return;
  const intent = new Intent();
  const lines = h("div", { class: "lines" });
  const total = h("output", { class: "total" }, "0.00");
  const add = () => {
    lines.append(line(() => changed(lines, total)));
    changed(lines, total);
  };
  const more = h("button", { type: "button", click: () => { add(); lines.lastElementChild.querySelector("input").focus(); } }, "Add a line");
  const address = h("details", { class: "more" }, h("summary", {}, "Shipping address"), h("div", { class: "fields" },
    Object.entries(ADDRESS).map(([name, label]) => field(label, `/shipping_address/${name}`, { name, maxlength: name === "country" ? 2 : null },
      name === "country" ? "Two letters, such as JP" : ""))));
  lines.addEventListener("input", () => changed(lines, total));
  add();
  openDialog({
    title: "Place an order",
    action: "Place order",
    isBroad: true,
    content: [
      field("Customer’s name", "/customer_name", { name: "customer_name", required: true }),
      h("div", { class: "lines-head" }, h("h3", {}, "Lines"), more), lines,
      h("p", { class: "sum" }, "Total ", total), address,
    ],
    submit: async (form) => {
      address.open ||= [...address.querySelectorAll("input")].some((input) => input.value.trim());
      const answer = await intent.send("/orders", content(form, lines, address));
      announce("The order is placed.");
      placed(answer.order_id);
    },
  });
}

function line(changed) {
  const id = `line-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  const remove = h("button", { type: "button", class: "quiet", "aria-label": "Remove this line", click: () => { row.remove(); changed(); } }, "×");
  const row = h("fieldset", { class: "order-line", id }, h("legend", { class: "unseen" }, "Line"),
    field("Product", "", { name: "product_name", required: true }),
    field("Quantity", "", { name: "quantity", inputmode: "numeric", value: "1", required: true }),
    field("Unit price", "", { name: "unit_price", inputmode: "decimal", placeholder: "0.00", required: true }),
    h("output", { class: "subtotal" }), remove, h("p", { class: "error", id: `${id}-error` }));
  return row;
}

/** Numbers the lines, which says where in the request their values go, and adds them up, in cents. */
function changed(lines, total) {
  let sum = 0n;
  [...lines.children].forEach((row, number) => {
    row.dataset.pointer = `/items/${number}`;
    write(row.querySelector("legend"), `Line ${number + 1}`);
    for (const input of row.querySelectorAll("input")) input.dataset.pointer = `/items/${number}/${input.name}`;
    set(row.querySelector("button"), "disabled", lines.children.length === 1);
    const cents = subtotal(row);
    write(row.querySelector(".subtotal"), cents === null ? "–" : money(amountOf(cents)));
    sum += cents ?? 0n;
  });
  write(total, money(amountOf(sum)));
}

function subtotal(row) {
  const [, quantity, price] = [...row.querySelectorAll("input")].map((input) => input.value.trim());
  const parts = PRICE.exec(price);
  if (!parts || !QUANTITY.test(quantity)) return null;
  return BigInt(quantity) * BigInt(parts[1] + (parts[2] ?? "").padEnd(2, "0"));
}

/** The request. What is not a number stays as it was typed: the service says what is wrong with it. */
function content(form, lines, address) {
  const items = [...lines.children].map((row) => {
    const [product_name, quantity, unit_price] = [...row.querySelectorAll("input")].map((input) => input.value.trim());
    return { product_name, quantity: QUANTITY.test(quantity) ? Number(quantity) : quantity, unit_price };
  });
  const given = [...address.querySelectorAll("input")].map((input) => [input.name, input.value.trim()]);
  const order = { customer_name: form.elements.customer_name.value, items };
  if (!given.some(([, value]) => value)) return order;
  const shipping_address = Object.fromEntries(given.filter(([name, value]) => value || name !== "line2"));
  return { ...order, shipping_address: { ...shipping_address, country: shipping_address.country.toUpperCase() } };
}

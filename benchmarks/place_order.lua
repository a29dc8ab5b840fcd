-- wrk script: one order of two lines with an address.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"customer_name":"Aiko Tanaka","items":[{"product_name":"Sencha","quantity":2,"unit_price":"12.50"},{"product_name":"Teapot","quantity":1,"unit_price":"48.00"}],"shipping_address":{"recipient":"Aiko Tanaka","line1":"1-2-3 Ginza","city":"Tokyo","postal_code":"104-0061","country":"JP"}}'

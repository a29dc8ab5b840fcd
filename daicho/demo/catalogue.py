"""What the demo's shop sells, who buys it and where they live. Pure: customer N is always the same one."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from command_service.orders.commands import ShippingAddress

CUSTOMERS = 5000


@dataclass(frozen=True, slots=True)
class Product:
    """`most`: how many are bought at once, at most; `demand`: how often it is bought, beside the others."""

    name: str
    price: Decimal
    most: int
    demand: int


@dataclass(frozen=True, slots=True)
class Country:
    """Where customers live. In `street`, `postal_codes` and `tracking`, # stands for a digit and @ for a letter."""

    code: str
    name: str
    given: Sequence[str]
    family: Sequence[str]
    street: str
    streets: Sequence[str]
    cities: Sequence[tuple[str, str]]
    carriers: Sequence[str]
    tracking: str


@dataclass(frozen=True, slots=True)
class Customer:
    """Who buys, and how parcels reach them."""

    name: str
    address: ShippingAddress
    country: Country


def _products(*rows: tuple[str, str, int, int]) -> tuple[Product, ...]:
    return tuple(Product(name, Decimal(price), most, demand) for name, price, most, demand in rows)


PRODUCTS = _products(
    ("Sencha, 100 g", "12.50", 6, 30),
    ("Gyokuro from Uji, 50 g", "24.00", 3, 12),
    ("Matcha, ceremonial grade, 30 g", "28.90", 4, 18),
    ("Genmaicha, 100 g", "8.80", 6, 16),
    ("Hōjicha, 100 g", "9.40", 6, 14),
    ("Darjeeling First Flush, 100 g", "16.75", 4, 12),
    ("Assam, loose leaf, 250 g", "13.20", 4, 10),
    ("Earl Grey, 50 bags", "6.95", 5, 14),
    ("Oolong, high mountain, 75 g", "21.40", 3, 8),
    ("Rooibos, organic, 250 g", "7.60", 4, 8),
    ("Tokoname teapot, 300 ml", "68.00", 1, 7),
    ("Cast-iron teapot, 600 ml", "94.00", 1, 4),
    ("Tea bowl, Mino ware", "34.50", 4, 9),
    ("Bamboo whisk", "18.00", 2, 10),
    ("Tea caddy, cherry bark", "42.00", 2, 5),
    ("Espresso beans, 1 kg", "23.90", 4, 20),
    ("Filter coffee, Ethiopia, 250 g", "11.80", 6, 18),
    ("Moka pot, 6 cups", "32.95", 1, 8),
    ("Pour-over dripper, porcelain", "26.00", 2, 9),
    ("Paper filters, 100 pieces", "4.90", 6, 20),
    ("Hand coffee grinder", "79.00", 1, 5),
    ("Gooseneck kettle, 1 l", "89.50", 1, 5),
    ("Chef's knife, 20 cm", "129.00", 1, 4),
    ("Whetstone, 1000/3000", "45.00", 1, 4),
    ("Chopping board, walnut", "54.00", 2, 6),
    ("Linen tea towel", "9.90", 8, 14),
    ("Crêpe pan, carbon steel", "38.50", 1, 5),
    ("Copper saucepan, 16 cm", "145.00", 1, 2),
    ("Stoneware plate, 24 cm", "17.50", 12, 9),
    ("Rice bowl, Arita porcelain", "22.00", 6, 9),
    ("Chopsticks, lacquered, pair", "12.00", 8, 11),
    ("Sugar tongs, silver-plated", "15.40", 1, 2),
    ("Orange marmalade, 340 g", "5.80", 6, 12),
    ("Acacia honey, 500 g", "9.20", 4, 12),
    ("Stroopwafels, tin", "10.50", 5, 10),
    ("Dark chocolate 72 %, 100 g", "4.60", 10, 22),
    ("Almond biscuits, 200 g", "6.40", 6, 12),
    ("Yuzu marmalade, 220 g", "8.90", 4, 8),
    ("Gift box, three teas", "39.00", 5, 13),
    ("Gift card", "50.00", 4, 6),
)

COUNTRIES = (
    Country(
        code="JP",
        name="{family} {given}",
        given=("結衣", "陽菜", "美咲", "葵", "蓮", "大翔", "健", "翔太", "悠真", "さくら", "直子", "誠"),
        family=("佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤", "吉田", "山田"),
        street="{street} #-1#-#",
        streets=("銀座", "本町", "緑が丘", "中央", "桜木町", "元町"),
        cities=(("東京都中央区", "104-00##"), ("大阪市北区", "530-00##"), ("京都市中京区", "604-80##"), ("札幌市中央区", "060-00##")),
        carriers=("Yamato", "Sagawa", "Japan Post"),
        tracking="####-####-####",
    ),
    Country(
        code="DE",
        name="{given} {family}",
        given=("Anna", "Lukas", "Jürgen", "Sabine", "Mehmet", "Greta", "Jonas", "Käthe", "Felix", "Miriam", "Özlem", "Paul"),
        family=("Müller", "Schmidt", "Weiß", "Yılmaz", "Schäfer", "Krüger", "Becker", "Nowak", "Groß", "Vogel", "Lange", "Haas"),
        street="{street} 1#",
        streets=("Hauptstraße", "Schillerstraße", "Am Markt", "Lindenallee", "Bergweg", "Gartenstraße"),
        cities=(("Berlin", "10##5"), ("München", "803##"), ("Köln", "506##"), ("Leipzig", "041##")),
        carriers=("DHL", "DPD", "Hermes"),
        tracking="0034043#########",
    ),
    Country(
        code="FR",
        name="{given} {family}",
        given=("Chloé", "Élodie", "Hugo", "Inès", "Léa", "Mathis", "Océane", "Rémi", "Théo", "Zoé", "Amadou", "Noémie"),
        family=("Martin", "Bernard", "Lefèvre", "Moreau", "Garçon", "Roux", "Diallo", "Fontaine", "Chevalier", "Blanc", "Petit", "Noël"),
        street="1# {street}",
        streets=("rue de la République", "avenue Jean-Jaurès", "rue Victor-Hugo", "place de l'Église", "quai Voltaire", "rue des Lilas"),
        cities=(("Paris", "7500#"), ("Lyon", "6900#"), ("Nantes", "44000"), ("Toulouse", "31#00")),
        carriers=("La Poste", "Chronopost"),
        tracking="6A###########",
    ),
    Country(
        code="GB",
        name="{given} {family}",
        given=("Oliver", "Amelia", "Isla", "George", "Priya", "Harry", "Freya", "Mohammed", "Siân", "Callum", "Grace", "Imogen"),
        family=("Smith", "Jones", "Patel", "O'Brien", "Taylor", "Khan", "Evans", "MacDonald", "Wright", "Ó Súilleabháin", "Hughes", "Green"),
        street="2# {street}",
        streets=("High Street", "Station Road", "Church Lane", "Victoria Road", "Mill Lane", "Kings Avenue"),
        cities=(("London", "N1 #AB"), ("Edinburgh", "EH1 #QR"), ("Cardiff", "CF10 #BN"), ("Manchester", "M4 #DW")),
        carriers=("Royal Mail", "Evri"),
        tracking="@@#########GB",
    ),
    Country(
        code="US",
        name="{given} {family}",
        given=("Emma", "Liam", "Sofia", "Noah", "Ava", "Ethan", "Mia", "Jamal", "Hannah", "Diego", "Grace", "Wei"),
        family=("Johnson", "Garcia", "Nguyen", "Williams", "Rodriguez", "Lee", "Brown", "Kowalski", "Washington", "Chen", "Davis", "Cohen"),
        street="4## {street}",
        streets=("Maple Avenue", "Main Street", "Oak Drive", "2nd Street", "Lakeview Road", "Cedar Lane"),
        cities=(("Portland", "972##"), ("Chicago", "606##"), ("Austin", "787##"), ("Brooklyn", "112##")),
        carriers=("UPS", "FedEx", "USPS"),
        tracking="1Z@@@##############",
    ),
    Country(
        code="PL",
        name="{given} {family}",
        given=("Agnieszka", "Łukasz", "Zofia", "Paweł", "Małgorzata", "Michał", "Kasia", "Wojciech", "Ola", "Stanisław", "Hanna", "Jan"),
        family=("Kowalczyk", "Wiśniewska", "Wójcik", "Kamińska", "Zieliński", "Szymańska", "Dąbrowski", "Żak", "Mazur", "Król", "Pawlak", "Lis"),
        street="ul. {street} 1#",
        streets=("Długa", "Polna", "Słoneczna", "Mickiewicza", "Kościuszki", "Lipowa"),
        cities=(("Warszawa", "00-1##"), ("Kraków", "31-0##"), ("Gdańsk", "80-2##"), ("Wrocław", "50-1##")),
        carriers=("InPost", "Poczta Polska"),
        tracking="6##############",
    ),
    Country(
        code="BR",
        name="{given} {family}",
        given=("João", "Beatriz", "Thiago", "Letícia", "Antônio", "Júlia", "Rafael", "Conceição", "Caio", "Larissa", "Vinícius", "Inês"),
        family=("da Silva", "Souza", "Araújo", "Gonçalves", "Pereira", "Magalhães", "Ribeiro", "Nakamura", "Alves", "Guimarães", "Lopes", "Rocha"),
        street="{street}, 3##",
        streets=("Rua das Flores", "Avenida Brasil", "Rua Sete de Setembro", "Rua da Paz", "Travessa São João", "Rua do Sol"),
        cities=(("São Paulo", "01310-###"), ("Rio de Janeiro", "20040-###"), ("Salvador", "40015-###"), ("Curitiba", "80010-###")),
        carriers=("Correios", "Jadlog"),
        tracking="@@#########BR",
    ),
    Country(
        code="SE",
        name="{given} {family}",
        given=("Astrid", "Björn", "Elsa", "Gustav", "Ingrid", "Lars", "Maja", "Nils", "Åsa", "Oskar", "Saga", "Ali"),
        family=("Andersson", "Åberg", "Björk", "Lindqvist", "Söderström", "Holm", "Nyström", "Öberg", "Ek", "Sjögren", "Hassan", "Dahl"),
        street="{street} 1#",
        streets=("Storgatan", "Kungsgatan", "Björkvägen", "Skolgatan", "Ringvägen", "Ängsvägen"),
        cities=(("Stockholm", "111 ##"), ("Göteborg", "411 ##"), ("Malmö", "211 ##"), ("Umeå", "903 ##")),
        carriers=("PostNord", "Bring"),
        tracking="@@#########SE",
    ),
)  # fmt: skip


@lru_cache(CUSTOMERS)
def customer(number: int) -> Customer:
    """Give customer `number`."""
    randomness = random.Random(number)
    country = randomness.choice(COUNTRIES)
    name = country.name.format(given=randomness.choice(country.given), family=randomness.choice(country.family))
    city, postal_code = randomness.choice(country.cities)
    street = fill(country.street.format(street=randomness.choice(country.streets)), randomness)
    address = ShippingAddress(
        recipient=name, line1=street, city=city, postal_code=fill(postal_code, randomness), country=country.code
    )
    return Customer(name, address, country)


def fill(pattern: str, randomness: random.Random) -> str:
    """Put a digit for every # and a letter for every @."""
    put = {"#": "0123456789", "@": "ABCDEFGHJKLMNPRSTUVWXYZ"}
    return "".join(randomness.choice(put[char]) if char in put else char for char in pattern)
